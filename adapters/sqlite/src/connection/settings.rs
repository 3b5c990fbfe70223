//! Where the database is, and how it is used.

use std::path::PathBuf;
use std::time::Duration;

/// Where the database is, and how it is used. [`SqliteSettings::at`] gives defaults that serve most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// The file. It is made where there is none; two more beside it (`-wal`, `-shm`) belong to it.
    pub path: PathBuf,
    /// How long a statement waits for another process that writes, before the store counts as away.
    pub busy_timeout: Duration,
    /// How many questions are answered at once; the rest wait. One connection each, opened on first use.
    pub readers: u32,
    /// How many answers are streamed at once, beside the questions. One connection each, opened on first use.
    pub streams: u32,
    /// How long a question or a stream waits for its turn, before the store counts as away.
    pub reader_wait: Duration,
}

impl SqliteSettings {
    /// Takes the path of the file: 5 s busy timeout, 4 readers, 4 streams, 5 s to wait for one of these.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout: Duration::from_secs(5),
            readers: 4,
            streams: 4,
            reader_wait: Duration::from_secs(5),
        }
    }
}
