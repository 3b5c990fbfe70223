//! Samples the resident memory of processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The memory of some processes, looked at until it is stopped.
#[derive(Debug)]
pub struct Memory {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<Vec<(Instant, u64)>>,
}

/// What was seen: the sum of the resident memory of all processes in KiB, and when.
#[derive(Debug)]
pub struct Seen(Vec<(Instant, u64)>);

impl Memory {
    /// Begins to look at the processes of these numbers.
    #[must_use]
    pub fn of(pids: Vec<u32>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let watcher = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while !until.load(Ordering::Relaxed) {
                seen.push((Instant::now(), pids.iter().map(|pid| resident_kib(*pid)).sum()));
                std::thread::sleep(LOOK_EVERY);
            }
            seen
        });
        Self { stop, watcher }
    }

    /// Stops looking.
    ///
    /// # Panics
    /// The watcher did.
    #[must_use]
    #[track_caller]
    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        Seen(self.watcher.join().expect("the watcher does not panic"))
    }
}

impl Seen {
    /// Returns the most that was seen between two points in time, in MiB.
    ///
    /// # Panics
    /// Nobody looked then.
    #[must_use]
    #[track_caller]
    pub fn most_mib(&self, from: Instant, until: Instant) -> u64 {
        let seen = self.0.iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, kib)| *kib);
        seen.max().expect("the watcher looks all the time") / 1024
    }
}

/// Returns the resident memory of a process, in KiB; 0 where it is gone.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.and_then(|text| text.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
