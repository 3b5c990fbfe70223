//! Arrivals at a steady rate, independent of the service's progress.

use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Lets arrivals go at their times. A thread of its own, because the timers of a runtime are a millisecond coarse.
#[derive(Debug)]
pub struct Arrivals {
    due: Arc<Semaphore>,
    began: Instant,
    interval: Duration,
    thread: JoinHandle<()>,
}

impl Arrivals {
    /// Begins now: `arrivals` in all, `per_second` of them a second.
    #[must_use]
    pub fn begin(per_second: f64, arrivals: u64) -> Self {
        let due = Arc::new(Semaphore::new(0));
        let (began, interval) = (Instant::now(), Duration::from_secs_f64(1.0 / per_second));
        let permits = Arc::clone(&due);
        let thread = std::thread::spawn(move || {
            let mut released = 0;
            while released < arrivals {
                let until = due_at(began, interval, released);
                sleep(until.saturating_duration_since(Instant::now()));
                // All that have become due meanwhile go at once.
                let by_now = count_in(1.0 / interval.as_secs_f64(), began.elapsed()) + 1;
                let due_now = by_now.min(arrivals).saturating_sub(released).max(1);
                permits.add_permits(usize::try_from(due_now).expect("a load is short"));
                released += due_now;
            }
        });
        Self { due, began, interval, thread }
    }

    /// Returns the semaphore that gets a permit for each arrival that is due.
    #[must_use]
    pub fn permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.due)
    }

    /// Returns a function that says when the n-th arrival is due, counted from 0.
    pub fn due_times(&self) -> impl Fn(u64) -> Instant + Copy + Send + 'static {
        let (began, interval) = (self.began, self.interval);
        move |n| due_at(began, interval, n)
    }

    /// Waits until all are due.
    ///
    /// # Panics
    /// The thread did.
    pub fn join(self) {
        self.thread.join().expect("pacing does not panic");
    }
}

/// Returns how many whole arrivals there are in a time.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates and times are positive, and small")]
pub fn count_in(per_second: f64, time: Duration) -> u64 {
    (per_second * time.as_secs_f64()) as u64
}

fn due_at(began: Instant, interval: Duration, n: u64) -> Instant {
    began + Duration::from_secs_f64(interval.as_secs_f64() * n as f64)
}
