//! The circuit breaker in front of storage: once storage has been away for as long as a commit is patient, nothing more
//! is made to wait for it, until it answers again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::watch;

use crate::intake::Intake;
use crate::ports::{Clock, RecordRepository};
use crate::retry::RetryPolicy;

/// Whether storage is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Storage is used.
    Closed,
    /// Storage is away: what is submitted is refused at once, and storage is asked every now and then whether it is back.
    Open,
    /// Storage answers again: the next commit is tried once, and decides.
    HalfOpen,
}

impl BreakerState {
    /// Returns the name in answers and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Clones are the same breaker.
#[derive(Debug, Clone)]
pub(crate) struct Breaker(Arc<watch::Sender<BreakerState>>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BreakerState::Closed)))
    }
}

impl Breaker {
    pub(crate) fn state(&self) -> BreakerState {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<BreakerState> {
        self.0.subscribe()
    }

    /// Notes that a commit was done.
    pub(crate) fn succeeded(&self) {
        self.change(|state| state != BreakerState::Closed, BreakerState::Closed);
    }

    /// Notes that a commit was given up because storage is away.
    pub(crate) fn gave_up(&self) {
        self.change(|state| state != BreakerState::Open, BreakerState::Open);
    }

    fn change(&self, from: impl Fn(BreakerState) -> bool, to: BreakerState) {
        let changed = self.0.send_if_modified(|state| {
            let change = from(*state);
            if change {
                *state = to;
            }
            change
        });
        if changed {
            tracing::warn!(state = to.name(), "the circuit breaker of storage has changed");
        }
    }

    /// Asks storage, while the breaker is open, whether it is back. Works until the intake is closed.
    pub(crate) async fn probe(
        self,
        repository: Arc<dyn RecordRepository>,
        clock: Arc<dyn Clock>,
        intake: Arc<Intake>,
        retry: RetryPolicy,
    ) {
        let mut states = self.watch();
        loop {
            let opened = states.wait_for(|state| *state == BreakerState::Open);
            match select(pin!(opened), pin!(intake.closed())).await {
                Either::Left((Ok(_), _)) => {}
                Either::Left((Err(_), _)) | Either::Right(_) => return,
            }
            let mut waits = retry.waits(&*clock);
            while self.state() == BreakerState::Open {
                let wait = waits.next().unwrap_or(retry.wait_max);
                if let Either::Right(_) = select(pin!(clock.sleep(wait)), pin!(intake.closed())).await {
                    return;
                }
                if repository.ping().await.is_ok() {
                    self.change(|state| state == BreakerState::Open, BreakerState::HalfOpen);
                }
            }
        }
    }
}

/// Returns for how long a commit is tried in a state of the breaker.
pub(crate) fn patience(state: BreakerState, usual: Duration) -> Duration {
    match state {
        BreakerState::Closed => usual,
        BreakerState::Open | BreakerState::HalfOpen => Duration::ZERO,
    }
}
