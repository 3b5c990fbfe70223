//! The settings of the repository. The defaults serve a user who sets only the URL.

use std::env;
use std::fmt;
use std::time::Duration;

use crate::connection::clear_text::{self, NO_PLAIN_PASSWORD};

/// How to reach Postgres, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// The database: a URL or a list of `name=value`, as libpq takes it (PostgreSQL documentation, "Connection Strings"),
    /// e.g. with `sslmode=verify-full`. Its parameters take precedence over the settings here. Without `sslmode`, a plain
    /// password is sent to no other machine.
    pub url: String,
    /// Connections for commits: 4. One commit at a time is given its positions, so more connections gain little; batches
    /// grow instead.
    pub writers: u32,
    /// Connections for short reads: 4.
    pub readers: u32,
    /// Connections for streamed answers, which a slow client may occupy for long: 4.
    pub streams: u32,
    /// Longest wait for a connection: 3 s.
    pub acquire_timeout: Duration,
    /// Longest wait for the server to accept a connection: 3 s. libpq counts whole seconds, and two at least.
    pub connect_timeout: Duration,
    /// Longest run of a statement of a commit: 10 s.
    pub write_timeout: Duration,
    /// Longest wait of a commit for a lock, i.e. for other commits: 5 s.
    pub lock_timeout: Duration,
    /// Longest run of a short read: 30 s.
    pub read_timeout: Duration,
    /// Longest run of one fetch of a streamed answer: 10 min.
    pub stream_timeout: Duration,
    /// Longest wait for the migrations at the start, also by another instance, and for the check of the schema: 10 min.
    pub migrate_timeout: Duration,
    /// How long sent data may stay unacknowledged before the connection counts as dead: 10 s. Linux only.
    pub tcp_user_timeout: Duration,
    /// Time without traffic after which TCP keep-alive probes begin: 10 s.
    pub keepalive: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            url: "postgres://localhost/tallyhouse".to_owned(),
            writers: 4,
            readers: 4,
            streams: 4,
            acquire_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            write_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(600),
            migrate_timeout: Duration::from_secs(600),
            tcp_user_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for PostgresSettings {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .field("streams", &self.streams)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("stream_timeout", &self.stream_timeout)
            .field("migrate_timeout", &self.migrate_timeout)
            .field("tcp_user_timeout", &self.tcp_user_timeout)
            .field("keepalive", &self.keepalive)
            .finish_non_exhaustive()
    }
}

impl PostgresSettings {
    /// Returns the connection string, with the time-outs that it does not set.
    pub(crate) fn connection_string(&self) -> String {
        // Unanswered probes before the connection counts as dead.
        const KEEPALIVE_COUNT: u128 = 3;
        let interval = (self.keepalive / 2).as_secs().max(1);
        let parameters = [
            ("application_name", "tallyhouse".to_owned()),
            ("connect_timeout", self.connect_timeout.as_secs().max(2).to_string()),
            ("tcp_user_timeout", self.tcp_user_timeout.as_millis().to_string()),
            ("keepalives_idle", self.keepalive.as_secs().max(1).to_string()),
            ("keepalives_interval", interval.to_string()),
            ("keepalives_count", KEEPALIVE_COUNT.to_string()),
        ];
        let require_auth = is_unprotected(&self.url).then(|| ("require_auth", NO_PLAIN_PASSWORD.to_owned()));
        let is_url = self.url.contains("://");
        let mut string = self.url.clone();
        for (name, value) in parameters.into_iter().chain(require_auth) {
            if self.url.contains(&format!("{name}=")) {
                continue;
            }
            match (is_url, string.contains('?')) {
                (true, false) => string.push('?'),
                (true, true) => string.push('&'),
                (false, _) => string.push(' '),
            }
            string.push_str(name);
            string.push('=');
            string.push_str(&value);
        }
        string
    }
}

/// Returns whether a URL leaves the connection to another machine unprotected: it has no `sslmode`, and neither has the
/// environment. The repository then refuses to send a plain password. A list of `name=value` is not looked at.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "libpq reads these variables, too")]
pub fn is_unprotected(url: &str) -> bool {
    clear_text::is_unprotected(url, |name| env::var(name).ok())
}

#[cfg(test)]
mod tests;
