//! Arrivals at a steady rate, independent of the service's progress.

use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Lets arrivals go at their times. A thread of its own, because the timers of a runtime are a millisecond coarse.
#[derive(Debug)]
pub struct Pace {
    due: Arc<Semaphore>,
    began: Instant,
    interval: Duration,
    thread: JoinHandle<()>,
}

impl Pace {
    /// Begins now: `arrivals` in all, `per_second` of them a second.
    #[must_use]
    pub fn begin(per_second: f64, arrivals: u64) -> Self {
        let due = Arc::new(Semaphore::new(0));
        let (began, interval) = (Instant::now(), Duration::from_secs_f64(1.0 / per_second));
        let gate = Arc::clone(&due);
        let thread = std::thread::spawn(move || {
            let mut gone = 0;
            while gone < arrivals {
                let until = due_at(began, interval, gone);
                sleep(until.saturating_duration_since(Instant::now()));
                // All that have become due meanwhile go at once.
                let by_now = count_in(1.0 / interval.as_secs_f64(), began.elapsed()) + 1;
                let going = by_now.min(arrivals).saturating_sub(gone).max(1);
                gate.add_permits(usize::try_from(going).expect("a load is short"));
                gone += going;
            }
        });
        Self { due, began, interval, thread }
    }

    /// Returns what gives a permit for each arrival that is due.
    #[must_use]
    pub fn gate(&self) -> Arc<Semaphore> {
        Arc::clone(&self.due)
    }

    /// Returns a function that says when the n-th arrival is due, counted from 0.
    pub fn schedule(&self) -> impl Fn(u64) -> Instant + Copy + Send + 'static {
        let (began, interval) = (self.began, self.interval);
        move |n| due_at(began, interval, n)
    }

    /// Waits until all have gone.
    ///
    /// # Panics
    /// The thread did.
    pub fn end(self) {
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
