//! A clock that stands still until a test moves it on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::Clock;
use tokio::sync::watch;

/// Time that only [`TestClock::advance`] moves.
#[derive(Debug)]
pub struct TestClock {
    start: Timestamp,
    elapsed: watch::Sender<Duration>,
    sleeping: watch::Sender<usize>,
    slept: AtomicUsize,
}

impl TestClock {
    /// Makes a clock that shows this time of day until it is moved.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        let (elapsed, sleeping) = (watch::Sender::new(Duration::ZERO), watch::Sender::new(0));
        Self { start, elapsed, sleeping, slept: AtomicUsize::new(0) }
    }

    /// Moves the time on, and wakes the calls of `sleep` that have waited long enough.
    pub fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Waits until at least `sleepers` calls of `sleep` are waiting: only then is it of use to move the time on.
    pub async fn until_sleeping(&self, sleepers: usize) {
        let mut sleeping = self.sleeping.subscribe();
        // The sender lives as long as `self`, so the wait can't fail.
        let _reached = sleeping.wait_for(|now| *now >= sleepers).await;
    }

    /// Returns how many calls of `sleep` have begun so far.
    #[must_use]
    pub fn slept(&self) -> usize {
        self.slept.load(Ordering::SeqCst)
    }
}

impl Default for TestClock {
    /// Begins at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::parse("2026-01-01T00:00:00Z").expect("this is RFC 3339"))
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.start.as_micros().saturating_add(micros)).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut elapsed = self.elapsed.subscribe();
        let until = *elapsed.borrow() + duration;
        self.slept.fetch_add(1, Ordering::SeqCst);
        let _asleep = Asleep::new(&self.sleeping);
        // The sender lives as long as `self`, so the wait can't fail.
        let _woken = elapsed.wait_for(|now| *now >= until).await;
    }
}

/// Counts a call of `sleep` while it waits, until it returns or is cancelled.
struct Asleep<'a>(&'a watch::Sender<usize>);

impl<'a> Asleep<'a> {
    fn new(sleeping: &'a watch::Sender<usize>) -> Self {
        sleeping.send_modify(|now| *now += 1);
        Self(sleeping)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|now| *now -= 1);
    }
}

#[cfg(test)]
mod tests;
