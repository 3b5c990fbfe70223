//! Files that the service follows while it runs: how they are read, and how often.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// How often a file is looked at. It is small, and reading it finds every change, also one that its time does not show.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Largest file that is read: thousands of keys or certificates, and not whatever else a wrong path may name.
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

/// Looks again and again, for ever.
pub(crate) async fn follow(what: &'static str, look: impl Fn() + Clone + Send + 'static) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // A file may lie on a network.
        if tokio::task::spawn_blocking(look.clone()).await.is_err() {
            tracing::error!("looking at the {what} panicked");
        }
    }
}
