//! The feed: follows the messages of all instances, from any cursor on, without a gap.
//!
//! It reads the store by position. Commits of this instance wake it; commits of others are seen at the next poll.
//! Followers at the same cursor share one read of the store.
//!
//! A store may go back to an earlier state, e.g. when a backup is restored, and use positions again. Every read
//! therefore compares the record at its cursor with the cursor's fingerprint, and ends with
//! [`FeedError::HistoryChanged`] if the store has another record there now, or none.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{Stream, stream};
use tallyhouse_core::ports::{Clock, HistoryQuery, PortError, PortErrorKind, RecordReader};
use tallyhouse_core::{Cursor, Fingerprint, Message, Position, StoredRecord, Topic};
use tokio::sync::{Mutex, watch};

/// The records that a follower reads at a time.
const PAGE_RECORDS: usize = 100;

/// The weight of the messages that a follower holds at a time, in bytes. There are hundreds of followers.
const FOLLOWED_WEIGHT_MAX: usize = 256 * 1024;

/// How often the head is read at most, if the store keeps going back to an earlier state in between.
const HEAD_READS_MAX: usize = 3;

/// Consecutive messages of a topic.
type Page = Arc<[Message]>;

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
/// use tallyhouse_pipeline::{Cursor, Feed, Topic};
///
/// let feed = Feed::new(repository, clock, pipeline.watch_commits(), Duration::from_secs(1));
/// let messages = feed.follow(Topic::Notifications, Some(Cursor::START)).await?;
/// let message = pin!(messages).next().await.expect("a feed has no end")?;
/// assert_eq!((message.position().record, message.topic()), (1, Topic::Notifications));
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
    after: Cursor,
    page: Page,
    /// The time of the read, and the commits of this instance before it: they tell how long the page is valid.
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
    /// [`crate::Pipeline::watch_commits`]) and every `poll_interval`.
    #[must_use]
    pub fn new(
        reader: Arc<dyn RecordReader>,
        clock: Arc<dyn Clock>,
        commits: watch::Receiver<u64>,
        poll_interval: Duration,
    ) -> Self {
        Self(Arc::new(Inner { reader, clock, commits, poll_interval, last_read: [Mutex::new(None), Mutex::new(None)] }))
    }

    /// Returns the cursor after all messages of the last record that there is now.
    ///
    /// No message has this cursor, not even the last one. A reader has caught up when [`Feed::page`] after its own cursor is
    /// empty.
    ///
    /// # Errors
    /// The store can't answer now.
    pub async fn head(&self) -> Result<Cursor, PortError> {
        for _ in 0..HEAD_READS_MAX {
            let head = self.0.reader.head().await?;
            if head == 0 {
                return Ok(Cursor::START);
            }
            // If the store has gone back between the two reads, the head may have no record any more.
            if let Some(stored) = self.record_at(head).await? {
                return Ok(Cursor::at(Position::after_record(head), &stored));
            }
        }
        Err(PortError::new(PortErrorKind::Unavailable, "reading the head", "the history keeps changing"))
    }

    /// Returns up to `limit` messages after a cursor. The limit is at least 1: an empty page then means that there are no
    /// more messages for now.
    ///
    /// # Errors
    /// [`FeedError::HistoryChanged`] if the cursor is one of a history that the store has lost: its position lies
    /// beyond the head, or another record stands there. The caller starts over. [`FeedError::Port`]: the store can't
    /// answer now.
    pub async fn page(&self, topic: Topic, after: Cursor, limit: usize) -> Result<Vec<Message>, FeedError> {
        let position = after.position;
        // The record at the cursor is read again: it must be the one that the cursor names, and it may have raised
        // further alerts.
        let query = HistoryQuery {
            after: position.record.saturating_sub(1),
            alerting_only: topic == Topic::Alerts,
            limit: limit.saturating_add(1),
        };
        let records = self.0.reader.history(query).await?;
        let at_cursor = records.first().filter(|(record, _)| *record == position.record).map(|(_, stored)| stored);
        let is_same =
            |stored: &Arc<StoredRecord>| after.fingerprint.is_none_or(|known| known == Fingerprint::of(stored));
        if position.record > 0 && !at_cursor.is_some_and(is_same) {
            return Err(FeedError::HistoryChanged { head: self.head().await? });
        }
        let messages = records.iter().flat_map(|(record, stored)| Message::of(*record, stored, topic));
        Ok(messages.filter(|message| message.position() > position).take(limit).collect())
    }

    async fn record_at(&self, position: u64) -> Result<Option<Arc<StoredRecord>>, PortError> {
        let query = HistoryQuery { after: position - 1, alerting_only: false, limit: 1 };
        let found = self.0.reader.history(query).await?;
        Ok(found.into_iter().next().filter(|(record, _)| *record == position).map(|(_, stored)| stored))
    }

    /// Returns a cursor that was written without a fingerprint with that of the record that is there now: a follower then
    /// learns when the history changes.
    async fn with_fingerprint(&self, cursor: Cursor) -> Result<Cursor, PortError> {
        if cursor.fingerprint.is_some() || cursor.position.record == 0 {
            return Ok(cursor);
        }
        let stored = self.record_at(cursor.position.record).await?;
        Ok(stored.map_or(cursor, |stored| Cursor::at(cursor.position, &stored)))
    }

    /// Follows a topic from a cursor on, or from the moment when this call returns. The stream has each message, in order,
    /// without a gap, and no end: it goes on after the pipeline is closed, and the caller drops it.
    ///
    /// # Errors
    /// As for [`Feed::page`]; also in the stream, which then ends. The caller resumes it at the cursor of the last message.
    pub async fn follow(
        &self,
        topic: Topic,
        after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<Message, FeedError>> + Send + use<>, FeedError> {
        let mut follower = Follower { feed: self.clone(), topic, after: Cursor::START, read: VecDeque::new() };
        match after {
            Some(after) => {
                follower.after = self.with_fingerprint(after).await?;
                // A cursor of a lost history is refused here, and not only within the stream.
                follower.read.extend(self.read(topic, follower.after).await?.iter().cloned());
            }
            None => follower.after = self.head().await?,
        }
        Ok(stream::try_unfold(follower, |mut follower| async move {
            let next = follower.next().await?;
            Ok(Some((next, follower)))
        }))
    }

    /// Reads the messages after a cursor, or reuses the last read if that is still valid.
    async fn read(&self, topic: Topic, after: Cursor) -> Result<Page, FeedError> {
        let slot = match topic {
            Topic::Notifications => &self.0.last_read[0],
            Topic::Alerts => &self.0.last_read[1],
        };
        let mut last = slot.lock().await;
        let (now, commits) = (self.0.clock.elapsed(), *self.0.commits.borrow());
        if let Some(last) = last.as_ref().filter(|last| last.after == after && now < last.at + self.0.poll_interval) {
            // Further commits add to the messages after a cursor, and change none of them.
            if commits == last.commits || !last.page.is_empty() {
                return Ok(Arc::clone(&last.page));
            }
        }
        let mut messages = self.page(topic, after, PAGE_RECORDS).await?;
        truncate(&mut messages, FOLLOWED_WEIGHT_MAX);
        let page: Page = messages.into();
        *last = Some(LastRead { after, page: Arc::clone(&page), at: now, commits });
        Ok(page)
    }
}

/// Keeps the first messages until their weight reaches `weight_max`, the message that reaches it included.
fn truncate(messages: &mut Vec<Message>, weight_max: usize) {
    let mut total = 0;
    let full = messages.iter().position(|message| {
        total += message.stored().weight();
        total >= weight_max
    });
    messages.truncate(full.map_or(usize::MAX, |last| last + 1));
}

/// Why the feed gives no messages.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The cursor is one of a history that the store has lost.
    #[error("the history has changed since the cursor was handed out")]
    HistoryChanged {
        /// The cursor after the last message that there is now.
        head: Cursor,
    },
    /// The store can't answer now.
    #[error(transparent)]
    Port(#[from] PortError),
}

struct Follower {
    feed: Feed,
    topic: Topic,
    after: Cursor,
    read: VecDeque<Message>,
}

impl Follower {
    async fn next(&mut self) -> Result<Message, FeedError> {
        let mut commits = self.feed.0.commits.clone();
        loop {
            if let Some(next) = self.read.pop_front() {
                self.after = next.cursor();
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
