//! Circuit breakers, one for each dependency: once a dependency has failed for a while, callers fail at once instead of
//! waiting for it.
//!
//! A closed breaker opens when its dependency has failed for long enough. An open breaker pings the dependency, with
//! back-off. The first answer makes it half-open; the next call then closes or opens it.
//!
//! The breaker also logs the failures of its dependency, in one place: each change of its state once, a failure before
//! that at most every ten seconds, and a reminder every minute, however many callers fail.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::ExponentialBackoff;
use futures::future::{Either, select};
use tallyhouse_core::ports::{Clock, PortError, PortErrorKind, RecordRepository};
use tokio::sync::watch;

use crate::close_signal::CloseSignal;
use crate::dependency::error_chain::ErrorChain;
use crate::dependency::retry::{RetryPolicy, millis};

/// The name of storage as a dependency.
const STORAGE: &str = "storage";
/// The least time between two log lines about failures that are retried. Metrics count every failure.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// The time between two log lines about a breaker that stays open.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// The number of refusals without a success after which a dependency may be refusing everything.
const REFUSALS_MIN: u32 = 3;

/// The state of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// The dependency is used.
    Closed,
    /// The dependency is unavailable: calls fail at once, and it is pinged until it answers.
    Open,
    /// The dependency has answered a ping: the next call closes or opens the breaker.
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

/// When a breaker opens, and how it is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerSettings {
    /// The time of failures without a success after which the breaker opens.
    pub(crate) open_after: Duration,
    /// The time that the dependency has to answer a ping.
    pub(crate) ping_timeout: Duration,
    /// The waits between two pings.
    pub(crate) retry: RetryPolicy,
}

/// The circuit breaker of one dependency. Clones are the same breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    settings: BreakerSettings,
    states: watch::Sender<BreakerState>,
    outage: Mutex<Outage>,
}

/// A time of failures without a success.
#[derive(Default)]
struct Outage {
    /// When it began; `None` while there is none.
    since: Option<Duration>,
    /// Whether the breaker has opened in it.
    opened: bool,
    /// The waits between pings. They keep growing if the dependency answers pings but fails every call.
    waits: Option<ExponentialBackoff>,
    /// When the last line was logged. It outlives the outage.
    logged: Option<Duration>,
    /// The refusals since the last success: when the first one was, and their number.
    refusals: Option<(Duration, u32)>,
    /// Why the last call failed, for callers outside.
    reason: Option<&'static str>,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.0.name).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Breaker {
    pub(crate) fn new(name: &str, clock: Arc<dyn Clock>, settings: BreakerSettings) -> Self {
        let states = watch::Sender::new(BreakerState::Closed);
        Self(Arc::new(Inner { name: Arc::from(name), clock, settings, states, outage: Mutex::default() }))
    }

    /// Returns the name of the dependency, e.g. `storage`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        *self.0.states.borrow()
    }

    /// Returns a watch on the state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BreakerState> {
        self.0.states.subscribe()
    }

    /// Returns why the dependency fails, for callers outside; `None` while it does not, or where it is not known.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.outage().reason
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state() == BreakerState::Open
    }

    /// Records a successful call: it closes the breaker.
    pub(crate) fn record_success(&self) {
        self.outage().refusals = None;
        self.end_outage();
    }

    fn end_outage(&self) {
        let mut outage = self.outage();
        let Some(since) = outage.since else { return };
        *outage = Outage { logged: outage.logged, refusals: outage.refusals, ..Outage::default() };
        let was = self.0.states.send_replace(BreakerState::Closed);
        drop(outage);
        let failed_ms = millis(self.now().saturating_sub(since));
        if was == BreakerState::Closed {
            tracing::debug!(dependency = self.name(), failed_ms, "a dependency answers again");
        } else {
            tracing::warn!(dependency = self.name(), state = "closed", failed_ms, "a circuit breaker has changed");
        }
    }

    /// Records an answer to a ping. It shows less than a successful call: it ends an outage, but closes no breaker, and says
    /// nothing about refusals.
    pub(crate) fn record_ping_success(&self) {
        if self.state() == BreakerState::Closed {
            self.end_outage();
        }
    }

    /// Records a failed call, with a message for the log.
    pub(crate) fn record_failure(&self, message: &'static str, error: &PortError) {
        self.record(message, error, false);
    }

    /// Records a failure after which the caller has given up, and opens the breaker at once.
    pub(crate) fn trip(&self, message: &'static str, error: &PortError) {
        self.record(message, error, true);
    }

    /// Records that the dependency answers, but has refused everything in a call. Returns whether it has refused
    /// everything for so long that it may take nothing at all: then the caller has to check that with a ping.
    pub(crate) fn record_refusal(&self) -> bool {
        let now = self.now();
        let mut outage = self.outage();
        let (since, count) = outage.refusals.map_or((now, 1), |(since, count)| (since, count.saturating_add(1)));
        let lasts = count >= REFUSALS_MIN && now.saturating_sub(since) >= self.0.settings.open_after;
        // The next check follows only if the refusals last as long again.
        outage.refusals = (!lasts).then_some((since, count));
        lasts || self.state() == BreakerState::HalfOpen
    }

    /// Pings the dependency. No answer within the ping timeout is a failure.
    pub(crate) async fn ping(&self, ping: impl Future<Output = Result<(), PortError>>) -> Result<(), PortError> {
        match select(pin!(ping), pin!(self.0.clock.sleep(self.0.settings.ping_timeout))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let (what, cause) = ("pinging a dependency", "no answer within the ping timeout");
                Err(PortError::new(PortErrorKind::Unavailable, what, cause)
                    .with_reason(Some("it does not answer in time")))
            }
        }
    }

    /// Waits while the breaker is open.
    pub(crate) async fn wait_while_open(&self) {
        let mut states = self.watch();
        // The sender lives as long as this breaker.
        drop(states.wait_for(|state| *state != BreakerState::Open).await);
    }

    /// Pings the dependency while the breaker is open, with back-off, until it answers.
    pub(crate) async fn probe<F: Future<Output = Result<(), PortError>>>(&self, ping: impl Fn() -> F) {
        while self.is_open() {
            let wait = self.next_wait();
            self.0.clock.sleep(wait).await;
            match self.ping(ping()).await {
                Ok(()) => self.half_open(),
                Err(error) => self.record_failure("a ping is not answered", &error),
            }
        }
    }

    fn record(&self, message: &'static str, error: &PortError, at_once: bool) {
        let now = self.now();
        let mut outage = self.outage();
        let since = *outage.since.get_or_insert(now);
        outage.reason = error.reason();
        let state = self.state();
        let opens = match state {
            BreakerState::Closed => at_once || now.saturating_sub(since) >= self.0.settings.open_after,
            BreakerState::HalfOpen => true,
            BreakerState::Open => false,
        };
        if opens {
            self.0.states.send_replace(BreakerState::Open);
        }
        // A breaker that alternates between open and half-open is logged as opened only once.
        let is_news = opens && !outage.opened;
        outage.opened |= opens;
        let every = if outage.opened { REMIND_EVERY } else { WARN_EVERY };
        let is_logged = is_news || outage.logged.is_none_or(|logged| now.saturating_sub(logged) >= every);
        if is_logged {
            outage.logged = Some(now);
        }
        let (opened, failed_ms) = (outage.opened, millis(now.saturating_sub(since)));
        drop(outage);
        let (dependency, error) = (self.name(), ErrorChain(error));
        if is_news {
            tracing::warn!(dependency, state = "open", failed_ms, %error, "a circuit breaker has changed: {message}");
        } else if is_logged && opened {
            tracing::warn!(dependency, state = "open", failed_ms, %error, "a dependency is still unavailable");
        } else if is_logged {
            tracing::warn!(dependency, %error, "{message}; it is retried");
        } else {
            tracing::debug!(dependency, failed_ms, %error, "{message}");
        }
    }

    fn half_open(&self) {
        let opened = |state: &mut BreakerState| {
            let is_open = *state == BreakerState::Open;
            if is_open {
                *state = BreakerState::HalfOpen;
            }
            is_open
        };
        if self.0.states.send_if_modified(opened) {
            tracing::debug!(dependency = self.name(), state = "half-open", "a circuit breaker has changed");
        }
    }

    fn next_wait(&self) -> Duration {
        let Inner { settings: BreakerSettings { retry, .. }, clock, .. } = &*self.0;
        self.outage().waits.get_or_insert_with(|| retry.waits(&**clock)).next().unwrap_or(retry.wait_max)
    }

    fn now(&self) -> Duration {
        self.0.clock.elapsed()
    }

    /// Locks the outage. Every change of the state is made under this lock, so that the two agree.
    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.0.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The breakers of a pipeline and of its queues. Clones are the same breakers.
#[derive(Debug, Clone)]
pub struct Breakers(Arc<Registry>);

struct Registry {
    clock: Arc<dyn Clock>,
    /// Those of all breakers but that of storage.
    settings: BreakerSettings,
    storage: Breaker,
    all: Mutex<Vec<Breaker>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Breakers {
    /// Makes the breaker of storage, with settings of its own. The others are made when they are named.
    pub(crate) fn new(clock: Arc<dyn Clock>, storage: BreakerSettings, settings: BreakerSettings) -> Self {
        let storage = Breaker::new(STORAGE, Arc::clone(&clock), storage);
        let all = Mutex::new(vec![storage.clone()]);
        Self(Arc::new(Registry { clock, settings, storage, all }))
    }

    /// Returns the breaker of storage, which [`Breakers::named`] knows as `storage`.
    #[must_use]
    pub fn storage(&self) -> Breaker {
        self.0.storage.clone()
    }

    /// Returns the breaker of the dependency with this name. The first call makes it.
    #[must_use]
    pub fn named(&self, name: &str) -> Breaker {
        let mut all = self.lock();
        if let Some(breaker) = all.iter().find(|breaker| breaker.name() == name) {
            return breaker.clone();
        }
        let breaker = Breaker::new(name, Arc::clone(&self.0.clock), self.0.settings);
        all.push(breaker.clone());
        breaker
    }

    /// Returns all breakers, in the order in which they were made.
    #[must_use]
    pub fn all(&self) -> Vec<Breaker> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Breaker>> {
        // A panic can't interrupt a push half-way.
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes storage whenever its breaker is open, until the intake is closed. A store that answers, but takes no records,
/// stays unavailable.
pub(crate) async fn probe_storage(breaker: Breaker, repository: Arc<dyn RecordRepository>, close_signal: CloseSignal) {
    let mut states = breaker.watch();
    let probing = async {
        while states.wait_for(|state| *state == BreakerState::Open).await.is_ok() {
            breaker.probe(|| repository.ping_write()).await;
        }
    };
    select(pin!(probing), pin!(close_signal.closed())).await;
}

/// Returns how long a failing commit is retried in a state of the breaker.
pub(crate) fn retry_timeout(state: BreakerState, usual: Duration) -> Duration {
    match state {
        BreakerState::Closed => usual,
        BreakerState::Open | BreakerState::HalfOpen => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
