//! A stream whose parts are made on a thread that may block.

use diesel::result::Error as DieselError;
use futures::stream;
use tallyhouse_core::ports::{PartStream, PortError, PortErrorKind};
use tokio::sync::mpsc;

use crate::sql::error::{Failure, Unreadable};

/// How many parts are made ahead of whoever reads them: enough to keep both sides busy, few enough to be held.
const PARTS_AHEAD: usize = 16;

/// Where the parts of a stream go.
pub(crate) struct Parts<T>(mpsc::Sender<Part<T>>);

enum Part<T> {
    Made(T),
    Failed(PortError),
    /// Said at the good end, so that work that breaks off is never taken for an answer that is complete.
    End,
}

/// Why the making of parts stops early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody listens any more.
    Gone,
    /// It can't go on.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
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

/// Makes a stream and the place where its parts go.
pub(crate) fn channel<T: Send + 'static>(what: &'static str) -> (Parts<T>, PartStream<T>) {
    let (tx, rx) = mpsc::channel(PARTS_AHEAD);
    let parts = stream::unfold(Some(rx), move |rx| async move {
        let mut rx = rx?;
        match rx.recv().await {
            Some(Part::Made(part)) => Some((Ok(part), Some(rx))),
            Some(Part::Failed(error)) => Some((Err(error), None)),
            Some(Part::End) => None,
            None => Some((Err(PortError::new(PortErrorKind::Misuse, what, "the work broke off")), None)),
        }
    });
    (Parts(tx), Box::pin(parts))
}

impl<T> Parts<T> {
    /// Hands on a part, when there is room for it.
    pub(crate) fn send(&self, part: T) -> Result<(), Stop> {
        self.0.blocking_send(Part::Made(part)).map_err(|_| Stop::Gone)
    }

    /// Stops if nobody listens any more: for work that goes on for long without a part.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.0.is_closed() { Err(Stop::Gone) } else { Ok(()) }
    }

    /// Says how the work ended.
    pub(crate) fn end(self, result: Result<(), Stop>, what: &'static str) {
        let last = match result {
            Ok(()) => Part::End,
            Err(Stop::Gone) => return,
            Err(Stop::Failed(failure)) => Part::Failed(failure.into_port(what)),
        };
        if self.0.blocking_send(last).is_err() {
            tracing::debug!(what, "nobody listened to the end of a stream");
        }
    }
}

#[cfg(test)]
mod tests;
