//! Files that the service polls for changes while it runs: keys and certificates.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// The poll interval. Reading a small file finds every change, including those that its modification time hides.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Largest file that is read: room for thousands of keys or certificates, but not for any file at a wrong path.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file whole, or says why it can't be.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(count) if count as u64 > FILE_BYTES_MAX => Err(format!("it is larger than {FILE_BYTES_MAX} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// Polls for ever.
pub(crate) async fn follow(name: &'static str, poll: impl Fn() + Clone + Send + 'static) {
    let mut polls = interval(POLL_INTERVAL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        polls.tick().await;
        // The file may be on a network drive, which blocks.
        if tokio::task::spawn_blocking(poll.clone()).await.is_err() {
            tracing::error!("polling the {name} panicked");
        }
    }
}
