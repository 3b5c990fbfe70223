//! A query to a dependency whose answer is cached, so that scrapes never load the dependency.

use std::time::Duration;

use tallyhouse_pipeline::ports::PortError;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// The last answer of a dependency, polled again when it is stale.
#[derive(Debug)]
pub(super) struct CachedPoll<T> {
    poll_timeout: Duration,
    fresh_for: Duration,
    /// The time and the answer of the last poll. The lock is held during a poll: concurrent scrapes share one.
    last: Mutex<Option<(Instant, Option<T>)>>,
}

impl<T: Copy> CachedPoll<T> {
    /// Makes a poll with this timeout, whose answer stays fresh for this long. A failure is cached, too.
    pub(super) fn new(poll_timeout: Duration, fresh_for: Duration) -> Self {
        Self { poll_timeout, fresh_for, last: Mutex::new(None) }
    }

    /// Returns the cached answer, or polls. `None` means that the dependency did not answer.
    pub(super) async fn read(&self, poll: impl Future<Output = Result<T, PortError>>) -> Option<T> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < self.fresh_for
        {
            return *answer;
        }
        let answer = match timeout(self.poll_timeout, poll).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a poll for the metrics failed");
                None
            }
            Err(_elapsed) => None,
        };
        *last = Some((Instant::now(), answer));
        answer
    }
}

#[cfg(test)]
mod tests;
