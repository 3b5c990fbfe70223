//! The settings of the adapter.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Address, names and time-outs.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// The address: `redis://user:secret@host:port/db`, `rediss://…` for TLS, `unix:///path`,
    /// `redis+sentinel://user:secret@host:port,host:port/service/db?sentinel_username=…&sentinel_password=…`, or
    /// `redis+cluster://user:secret@host:port,host:port`; these two with `rediss+…` for TLS.
    pub url: String,
    /// The prefix of every key and channel; `tallyhouse` by default.
    pub prefix: String,
    /// Whether messages are also added to a stream beside their channel; off by default.
    pub durable: bool,
    /// About how many messages such a stream keeps; 100,000 by default.
    pub durable_max_len: u64,
    /// PEM file with the authorities that may have signed the server's certificate; by default those that the system
    /// trusts.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made; 2 s by default.
    pub connect_timeout: Duration,
    /// How long an answer may take, in addition to the time for which the command blocks; 3 s by default.
    pub response_timeout: Duration,
    /// How long one call blocks at the server for a payload; 3 s by default. It is also the longest delay before a
    /// source notices other work, e.g. an abandoned entry.
    pub block: Duration,
    /// How long a consumer may miss its heartbeats before others claim its payloads; 6 s by default. A slow consumer
    /// whose heartbeats arrive keeps its payloads, however long it takes.
    pub lease: Duration,
}

impl RedisSettings {
    /// The defaults, with this URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            prefix: "tallyhouse".to_owned(),
            durable: false,
            durable_max_len: 100_000,
            ca_file: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(3),
            block: Duration::from_secs(3),
            lease: Duration::from_secs(6),
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Leaves out the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("prefix", &self.prefix)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// Returns the whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
