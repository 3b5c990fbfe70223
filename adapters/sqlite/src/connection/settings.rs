//! The settings of the repository.

use std::path::PathBuf;
use std::time::Duration;

/// Where the database is, and how long to wait for it. [`SqliteSettings::at`] has the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// The file. It is created if missing; two more files beside it (`-wal`, `-shm`) belong to it.
    pub path: PathBuf,
    /// Longest wait of a statement for another process that writes: 5 s. Then the store counts as unavailable.
    pub busy_timeout: Duration,
    /// Connections for short reads: 2. Opened on first use. A read computes in this process, on a core that commits then
    /// lack.
    pub readers: u32,
    /// Connections for streamed answers: 4. Opened on first use.
    pub streams: u32,
    /// Longest wait of a read for a connection: 5 s. Then the store counts as unavailable.
    pub reader_wait: Duration,
}

impl SqliteSettings {
    /// Returns the default settings for a file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout: Duration::from_secs(5),
            readers: 2,
            streams: 4,
            reader_wait: Duration::from_secs(5),
        }
    }
}
