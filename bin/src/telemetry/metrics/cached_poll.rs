//! A question to a dependency whose answer is kept for a while.

use std::time::Duration;

use tallyhouse_pipeline::ports::PortError;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// The last answer to a question.
#[derive(Debug)]
pub(super) struct CachedPoll<T> {
    patience: Duration,
    kept: Duration,
    /// When it was asked, and what came; held while the question is under way, so that there is one at a time.
    last: Mutex<Option<(Instant, Option<T>)>>,
}

impl<T: Copy> CachedPoll<T> {
    /// Makes one that waits so long for an answer, and keeps it so long: that there was none, too.
    pub(super) fn new(patience: Duration, kept: Duration) -> Self {
        Self { patience, kept, last: Mutex::new(None) }
    }

    /// Returns the answer that is kept, or asks.
    pub(super) async fn answer(&self, question: impl Future<Output = Result<T, PortError>>) -> Option<T> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < self.kept
        {
            return *answer;
        }
        let answer = match timeout(self.patience, question).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a question for the metrics has no answer");
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
