//! Warns of a second service on the same file of SQLite, by an advisory lock on a file beside the database.
//!
//! The lock refuses nothing: every commit takes SQLite's own lock, so several processes on one file are safe. The system
//! releases it when its process ends. A file of that name that is no lock file, e.g. another database, stays as it is.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::overwrite::OWNER_ONLY;
use crate::settings::DatabaseUrl;

/// The ending of the lock file's name, after that of the database.
const SUFFIX: &str = "-serve";

/// How the text of a lock file begins.
const BEGINNING: &str = "process ";

/// Longest text that is read from a lock file.
const TEXT_BYTES_MAX: u64 = 256;

/// The lock of the first service on a file. Dropping it removes the lock file.
#[derive(Debug)]
pub(super) struct InstanceLock {
    path: PathBuf,
    /// Holds the lock until it is closed.
    _file: File,
}

impl InstanceLock {
    /// Takes the lock for a service at this URL. If another service has it, logs a warning that names that one.
    pub(super) fn acquire(database: &DatabaseUrl, url: &str) -> Option<Self> {
        let DatabaseUrl::Sqlite(path) = database else { return None };
        match try_acquire(path, url) {
            Ok(Ok(lock)) => Some(lock),
            Ok(Err(other)) => {
                tracing::warn!(
                    %database, other,
                    "another service uses the same SQLite file: both are safe, but wait for each other's commits; end one of \
                     them, or use Postgres for several instances"
                );
                None
            }
            Err(error) => {
                tracing::debug!(%database, %error, "whether another service uses the same SQLite file is not known");
                None
            }
        }
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Still locked: nobody else has taken the file for its own.
        drop(fs::remove_file(&self.path));
    }
}

/// Takes the lock, or returns what its holder says of itself.
fn try_acquire(database: &Path, url: &str) -> io::Result<Result<InstanceLock, String>> {
    // Several names may lead to one file.
    let mut name = OsString::from(database.canonicalize()?);
    name.push(SUFFIX);
    let path = PathBuf::from(name);
    loop {
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("the lock's name leads to no regular file"));
        }
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                file.take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
                return Ok(Err(String::from_utf8_lossy(&text).into_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its holder may have removed it between the two calls.
        let (locked, named) = (file.metadata()?, fs::symlink_metadata(&path));
        if !named.is_ok_and(|named| (named.dev(), named.ino()) == (locked.dev(), locked.ino())) {
            continue;
        }
        let mut text = Vec::new();
        (&file).take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
        if !text.is_empty() && !text.starts_with(BEGINNING.as_bytes()) {
            return Err(io::Error::other("the lock's name is that of another file"));
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{BEGINNING}{} at {url}", std::process::id())?;
        return Ok(Ok(InstanceLock { path, _file: file }));
    }
}

#[cfg(test)]
mod tests;
