//! The signal that a pipeline accepts no more records.

use tokio::sync::watch;

/// Tells a task that the intake is closed: the task finishes accepted work, and waits for nothing else.
#[derive(Debug, Clone)]
pub(crate) struct CloseSignal(watch::Receiver<bool>);

impl CloseSignal {
    pub(crate) fn new(closed: &watch::Sender<bool>) -> Self {
        Self(closed.subscribe())
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the intake is closed.
    pub(crate) async fn closed(&self) {
        // An error says that the intake was dropped: nothing can be submitted either.
        drop(self.0.clone().wait_for(|closed| *closed).await);
    }
}
