//! A bounded channel from a blocking reader to an async stream.

use diesel::result::Error as DieselError;
use futures::stream;
use tallyhouse_core::ports::{PartStream, PortError, PortErrorKind};
use tokio::sync::mpsc;

use crate::sql::error::{StoreError, Unreadable};

/// Parts that are read before the client takes them: enough to keep both sides busy, few enough for memory.
const PARTS_BUFFERED: usize = 16;

/// The sending end of a stream.
pub(crate) struct Parts<T>(mpsc::Sender<Item<T>>);

enum Item<T> {
    Part(T),
    Failed(PortError),
    /// The complete end. The channel of a thread that died closes, too, and that must not look like a complete answer.
    End,
}

/// Why reading stops early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The stream was dropped.
    Dropped,
    /// Reading failed.
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<DieselError> for Stop {
    fn from(error: DieselError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Unreadable> for Stop {
    fn from(unreadable: Unreadable) -> Self {
        Self::Failed(unreadable.into())
    }
}

/// Creates a stream and its sending end.
pub(crate) fn channel<T: Send + 'static>(what: &'static str) -> (Parts<T>, PartStream<T>) {
    let (tx, rx) = mpsc::channel(PARTS_BUFFERED);
    let parts = stream::unfold(Some(rx), move |rx| async move {
        let mut rx = rx?;
        match rx.recv().await {
            Some(Item::Part(part)) => Some((Ok(part), Some(rx))),
            Some(Item::Failed(error)) => Some((Err(error), None)),
            Some(Item::End) => None,
            None => Some((Err(PortError::new(PortErrorKind::Misuse, what, "the work broke off")), None)),
        }
    });
    (Parts(tx), Box::pin(parts))
}

impl<T> Parts<T> {
    /// Sends a part. Waits until there is room for it.
    pub(crate) fn send(&self, part: T) -> Result<(), Stop> {
        self.0.blocking_send(Item::Part(part)).map_err(|_| Stop::Dropped)
    }

    /// Stops if the stream was dropped: for work that goes on for long without a part.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.0.is_closed() { Err(Stop::Dropped) } else { Ok(()) }
    }

    /// Ends the stream.
    pub(crate) fn end(self, result: Result<(), Stop>, what: &'static str) {
        let last = match result {
            Ok(()) => Item::End,
            Err(Stop::Dropped) => return,
            Err(Stop::Failed(error)) => Item::Failed(error.into_port(what)),
        };
        if self.0.blocking_send(last).is_err() {
            tracing::debug!(what, "a stream was dropped before its end");
        }
    }
}

#[cfg(test)]
mod tests;
