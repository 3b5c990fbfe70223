//! Circuit breakers, one for each dependency: once one has failed for a while, nothing more is made to wait for it,
//! until it answers again.
//!
//! Closed: it is used. It has failed for long enough: open. While it is open it is only asked, with back-off, whether
//! it answers. It does: half-open, and one try decides between closed and open.
//!
//! The breaker is also the one place that logs what its dependency does: each change of its state once, a failure
//! before that at most every few seconds, and a reminder every minute, however many callers fail.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::closing::Closing;
use crate::dependency::error_chain::ErrorChain;
use crate::dependency::retry::RetryPolicy;
use backon::ExponentialBackoff;
use futures::future::{Either, select};
use tallyhouse_core::ports::{Clock, PortError, PortErrorKind, RecordRepository};
use tokio::sync::watch;

/// Failures that are tried again are logged no more often than this: where every other call fails, the log is no use
/// for counting them.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// How often the log says that a dependency is still away.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// Whether a dependency is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// It is used.
    Closed,
    /// It is away: nobody waits for it, and it is asked every now and then whether it is back.
    Open,
    /// It answers again: it is tried once, and that decides.
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
    /// For how long the dependency has to fail, with no success in between.
    pub(crate) open_after: Duration,
    /// How long it may take to answer a ping.
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
    spell: Mutex<Spell>,
}

/// A time of failures without a success.
#[derive(Default)]
struct Spell {
    /// When it began; `None` while all is well.
    since: Option<Duration>,
    /// Whether the breaker has opened in it.
    opened: bool,
    /// The waits between pings. They go on growing where the dependency answers pings and does nothing else.
    waits: Option<ExponentialBackoff>,
    /// When the log was last told; outlives the spell.
    told: Option<Duration>,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.0.name).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Breaker {
    pub(crate) fn new(name: &str, clock: Arc<dyn Clock>, settings: BreakerSettings) -> Self {
        let states = watch::Sender::new(BreakerState::Closed);
        Self(Arc::new(Inner { name: Arc::from(name), clock, settings, states, spell: Mutex::default() }))
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

    pub(crate) fn is_open(&self) -> bool {
        self.state() == BreakerState::Open
    }

    /// Notes that the dependency did its work.
    pub(crate) fn succeeded(&self) {
        let mut spell = self.spell();
        let Some(since) = spell.since else { return };
        *spell = Spell { told: spell.told, ..Spell::default() };
        let was = self.0.states.send_replace(BreakerState::Closed);
        drop(spell);
        let failed_ms = self.now().saturating_sub(since).as_millis();
        if was == BreakerState::Closed {
            tracing::debug!(dependency = self.name(), failed_ms, "a dependency answers again");
        } else {
            tracing::warn!(dependency = self.name(), state = "closed", failed_ms, "a circuit breaker has changed");
        }
    }

    /// Notes that the dependency answered a question, which shows less than that it works: it ends a spell of failures,
    /// but closes no breaker.
    pub(crate) fn answered(&self) {
        if self.state() == BreakerState::Closed {
            self.succeeded();
        }
    }

    /// Notes that the dependency failed, in what.
    pub(crate) fn failed(&self, what: &'static str, error: &PortError) {
        self.note(what, error, false);
    }

    /// Notes that a caller's patience with the dependency has ended: that opens the breaker.
    pub(crate) fn gave_up(&self, what: &'static str, error: &PortError) {
        self.note(what, error, true);
    }

    /// Asks the dependency, within the time that it has for an answer.
    pub(crate) async fn ask(&self, ping: impl Future<Output = Result<(), PortError>>) -> Result<(), PortError> {
        match select(pin!(ping), pin!(self.0.clock.sleep(self.0.settings.ping_timeout))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(PortError::new(PortErrorKind::Unavailable, "asking a dependency", "it is silent")),
        }
    }

    /// Waits while the breaker is open.
    pub(crate) async fn usable(&self) {
        let mut states = self.watch();
        // The sender lives as long as this breaker.
        drop(states.wait_for(|state| *state != BreakerState::Open).await);
    }

    /// While the breaker is open, asks the dependency, after longer and longer waits, until it answers.
    pub(crate) async fn probe<F: Future<Output = Result<(), PortError>>>(&self, ping: impl Fn() -> F) {
        while self.is_open() {
            let wait = self.next_wait();
            self.0.clock.sleep(wait).await;
            match self.ask(ping()).await {
                Ok(()) => self.half_open(),
                Err(error) => self.failed("a question is not answered", &error),
            }
        }
    }

    fn note(&self, what: &'static str, error: &PortError, at_once: bool) {
        let now = self.now();
        let mut spell = self.spell();
        let since = *spell.since.get_or_insert(now);
        let state = self.state();
        let opens = match state {
            BreakerState::Closed => at_once || now.saturating_sub(since) >= self.0.settings.open_after,
            BreakerState::HalfOpen => true,
            BreakerState::Open => false,
        };
        if opens {
            self.0.states.send_replace(BreakerState::Open);
        }
        // A breaker that goes back and forth between open and half-open is news only once.
        let is_news = opens && !spell.opened;
        spell.opened |= opens;
        let every = if spell.opened { REMIND_EVERY } else { WARN_EVERY };
        let tells = is_news || spell.told.is_none_or(|told| now.saturating_sub(told) >= every);
        if tells {
            spell.told = Some(now);
        }
        let (opened, failed_ms) = (spell.opened, now.saturating_sub(since).as_millis());
        drop(spell);
        let (dependency, error) = (self.name(), ErrorChain(error));
        if is_news {
            tracing::warn!(dependency, state = "open", failed_ms, %error, "a circuit breaker has changed: {what}");
        } else if tells && opened {
            tracing::warn!(dependency, state = "open", failed_ms, %error, "a dependency is still away");
        } else if tells {
            tracing::warn!(dependency, %error, "{what}; it is tried again");
        } else {
            tracing::debug!(dependency, failed_ms, %error, "{what}");
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
        self.spell().waits.get_or_insert_with(|| retry.waits(&**clock)).next().unwrap_or(retry.wait_max)
    }

    fn now(&self) -> Duration {
        self.0.clock.elapsed()
    }

    /// Taken before the state is changed, so that the two belong together.
    fn spell(&self) -> MutexGuard<'_, Spell> {
        self.0.spell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The breakers of a pipeline and of the queues that feed it. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Breakers(Arc<Registry>);

struct Registry {
    clock: Arc<dyn Clock>,
    settings: BreakerSettings,
    all: Mutex<Vec<Breaker>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Breakers {
    pub(crate) fn new(clock: Arc<dyn Clock>, settings: BreakerSettings) -> Self {
        Self(Arc::new(Registry { clock, settings, all: Mutex::default() }))
    }

    /// Returns the breaker of a dependency of this name, which is made if there is none yet.
    #[must_use]
    pub fn named(&self, name: &str) -> Breaker {
        self.named_with(name, self.0.settings)
    }

    /// Returns all of them, in the order in which they were made.
    #[must_use]
    pub fn all(&self) -> Vec<Breaker> {
        self.lock().clone()
    }

    pub(crate) fn named_with(&self, name: &str, settings: BreakerSettings) -> Breaker {
        let mut all = self.lock();
        if let Some(breaker) = all.iter().find(|breaker| breaker.name() == name) {
            return breaker.clone();
        }
        let breaker = Breaker::new(name, Arc::clone(&self.0.clock), settings);
        all.push(breaker.clone());
        breaker
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Breaker>> {
        // A push can't be left half done.
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes storage whenever its breaker is open, until the intake is closed.
pub(crate) async fn probe_storage(breaker: Breaker, repository: Arc<dyn RecordRepository>, closing: Closing) {
    let mut states = breaker.watch();
    let probing = async {
        while states.wait_for(|state| *state == BreakerState::Open).await.is_ok() {
            breaker.probe(|| repository.ping()).await;
        }
    };
    select(pin!(probing), pin!(closing.closed())).await;
}

/// Returns for how long a failing commit is tried again in a state of the breaker.
pub(crate) fn retry_timeout(state: BreakerState, usual: Duration) -> Duration {
    match state {
        BreakerState::Closed => usual,
        BreakerState::Open | BreakerState::HalfOpen => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
