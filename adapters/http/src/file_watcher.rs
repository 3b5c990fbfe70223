//! Polls files of keys and certificates for changes.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// The poll interval. Each poll reads the whole file, because a modification time can miss a change.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Largest file that is read. It has room for thousands of keys or certificates; a wrong path may name a file of any
/// size.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The write permissions of group and others, as in `chmod go+w`.
const OTHERS_WRITE: u32 = 0o022;

/// The read permission of others.
const OTHERS_READ: u32 = 0o004;

/// Reads a whole file, or says why that fails.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    open(path).and_then(read_whole)
}

/// Reads a file that grants access. A file that others may write to is refused: they could grant themselves access.
pub(crate) fn read_protected(path: &Path) -> Result<Vec<u8>, String> {
    let file = open(path)?;
    if mode(&file) & OTHERS_WRITE != 0 {
        return Err(format!("others may write to it: take that right from them with chmod go-w {}", path.display()));
    }
    read_whole(file)
}

/// Logs a warning if every user may read a file that is meant for the service alone.
pub(crate) fn warn_of_readers(path: &Path, name: &str) {
    if open(path).is_ok_and(|file| mode(&file) & OTHERS_READ != 0) {
        tracing::warn!(path = %path.display(), "every user of this machine may read the {name}; chmod o-r takes that right");
    }
}

fn read_whole(file: File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes) {
        Ok(count) if count as u64 > FILE_BYTES_MAX => Err(format!("it is larger than {FILE_BYTES_MAX} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// Opens a regular file. Other kinds are refused: reading a pipe would block until there is a writer.
fn open(path: &Path) -> Result<File, String> {
    let mut options = File::options();
    options.read(true);
    // Opening a pipe would block, too.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path).map_err(|error| error.to_string())?;
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(unix)]
fn mode(file: &File) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    // Without metadata it is unknown who may write to the file.
    file.metadata().map_or(OTHERS_WRITE, |about| about.permissions().mode())
}

/// Other systems have no permission bits.
#[cfg(not(unix))]
fn mode(_file: &File) -> u32 {
    0
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

#[cfg(all(test, unix))]
mod tests;
