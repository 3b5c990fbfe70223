//! The feed: follows the messages of all instances, from any position on, without a gap.
//!
//! It reads the store by position. Commits of this instance wake it; commits of others are seen at the next poll.
//! Followers at the same position share one read of the store.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{Stream, stream};
use tallyhouse_core::ports::{Clock, HistoryQuery, PortError, RecordReader};
use tallyhouse_core::{Message, Position, Topic};
use tokio::sync::{Mutex, watch};

/// The records that a follower reads at a time.
const PAGE_RECORDS: usize = 100;

/// Consecutive messages of a topic, with their positions.
type Page = Arc<[(Position, Message)]>;

/// The messages of both topics. Clones are the same feed.
///
/// ```
/// # use std::sync::Arc;
/// # use tallyhouse_pipeline::{Pipeline, PipelineParts, TokioClock};
/// # use tallyhouse_testing::{MemoryRepository, generate};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(TokioClock::start());
/// # let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// # let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository.clone(), clock.clone()));
/// # let work = tokio::spawn(driver.run());
/// # pipeline.process(generate::record("r-1", "shop-9", "", "12.50", "EUR")).await?;
/// use std::pin::pin;
/// use std::time::Duration;
///
/// use futures::StreamExt as _;
/// use tallyhouse_pipeline::{Feed, Position, Topic};
///
/// let feed = Feed::new(repository, clock, pipeline.commits(), Duration::from_secs(1));
/// let messages = feed.follow(Topic::Notifications, Some(Position::after_record(0))).await?;
/// let (position, message) = pin!(messages).next().await.expect("a feed has no end")?;
/// assert_eq!((position.record, message.topic()), (1, Topic::Notifications));
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    reader: Arc<dyn RecordReader>,
    clock: Arc<dyn Clock>,
    commits: watch::Receiver<u64>,
    poll_interval: Duration,
    last_read: [Mutex<Option<LastRead>>; 2],
}

/// The last read of a topic.
struct LastRead {
    after: Position,
    page: Page,
    /// The time of the read, and the commits of this instance before it: they tell how long an empty page is valid.
    at: Duration,
    commits: u64,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("poll_interval", &self.0.poll_interval).finish_non_exhaustive()
    }
}

impl Feed {
    /// Builds a feed of a store. While it has followers, it polls the store whenever `commits` changes (see
    /// [`crate::Pipeline::commits`]) and every `poll_interval`.
    #[must_use]
    pub fn new(
        reader: Arc<dyn RecordReader>,
        clock: Arc<dyn Clock>,
        commits: watch::Receiver<u64>,
        poll_interval: Duration,
    ) -> Self {
        Self(Arc::new(Inner { reader, clock, commits, poll_interval, last_read: [Mutex::new(None), Mutex::new(None)] }))
    }

    /// Returns the position after the last message that there is now.
    ///
    /// # Errors
    /// The store can't answer now.
    pub async fn head(&self) -> Result<Position, PortError> {
        self.0.reader.head().await.map(Position::after_record)
    }

    /// Returns up to `limit` messages after a position.
    ///
    /// # Errors
    /// The store can't answer now.
    pub async fn page(
        &self,
        topic: Topic,
        after: Position,
        limit: usize,
    ) -> Result<Vec<(Position, Message)>, PortError> {
        let alerting_only = topic == Topic::Alerts;
        // The record at `after` may have raised further alerts.
        let whole_records = if alerting_only && after.part < u32::MAX { 1 } else { 0 };
        let query = HistoryQuery {
            after: after.record.saturating_sub(whole_records),
            alerting_only,
            limit: limit.saturating_add(usize::from(alerting_only)),
        };
        let records = self.0.reader.history(query).await?;
        let messages = records.iter().flat_map(|(record, stored)| {
            let with_position = move |(part, message)| (Position { record: *record, part }, message);
            (0..).zip(Message::of(stored, topic)).map(with_position)
        });
        Ok(messages.filter(|(position, _)| *position > after).take(limit).collect())
    }

    /// Follows a topic from a position on, or from the moment when this call returns. The stream has each message with its
    /// position, in order, without a gap, and no end.
    ///
    /// # Errors
    /// The store can't answer now; also in the stream, which then ends. The caller resumes it at the last position.
    pub async fn follow(
        &self,
        topic: Topic,
        after: Option<Position>,
    ) -> Result<impl Stream<Item = Result<(Position, Message), PortError>> + Send + use<>, PortError> {
        let after = match after {
            Some(after) => after,
            None => self.head().await?,
        };
        let follower = Follower { feed: self.clone(), topic, after, read: VecDeque::new() };
        Ok(stream::try_unfold(follower, |mut follower| async move {
            let next = follower.next().await?;
            Ok(Some((next, follower)))
        }))
    }

    /// Reads the messages after a position, or reuses the last read if that is still valid.
    async fn read(&self, topic: Topic, after: Position) -> Result<Page, PortError> {
        let slot = match topic {
            Topic::Notifications => &self.0.last_read[0],
            Topic::Alerts => &self.0.last_read[1],
        };
        let mut last = slot.lock().await;
        let (now, commits) = (self.0.clock.elapsed(), *self.0.commits.borrow());
        if let Some(last) = last.as_ref().filter(|last| last.after == after) {
            // The messages after a position never change; there may only be more of them.
            let fresh = commits == last.commits && now < last.at + self.0.poll_interval;
            if fresh || !last.page.is_empty() {
                return Ok(Arc::clone(&last.page));
            }
        }
        let page: Page = self.page(topic, after, PAGE_RECORDS).await?.into();
        *last = Some(LastRead { after, page: Arc::clone(&page), at: now, commits });
        Ok(page)
    }
}

struct Follower {
    feed: Feed,
    topic: Topic,
    after: Position,
    read: VecDeque<(Position, Message)>,
}

impl Follower {
    async fn next(&mut self) -> Result<(Position, Message), PortError> {
        let mut commits = self.feed.0.commits.clone();
        loop {
            if let Some(next) = self.read.pop_front() {
                self.after = next.0;
                return Ok(next);
            }
            commits.mark_unchanged();
            let page = self.feed.read(self.topic, self.after).await?;
            if page.is_empty() {
                let poll = self.feed.0.clock.sleep(self.feed.0.poll_interval);
                if let Either::Left((Err(_closed), poll)) = select(pin!(commits.changed()), pin!(poll)).await {
                    // This instance commits no more; others may.
                    poll.await;
                }
            }
            self.read.extend(page.iter().cloned());
        }
    }
}

#[cfg(test)]
mod tests;
