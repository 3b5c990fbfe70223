//! The server's settings: every limit and timeout that a host may want to change.

use std::time::Duration;

use crate::bounds::stall_timer::MinRate;

/// The settings of an [`crate::HttpServer`]. The defaults serve a host that changes none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// How many connections are open at once. On connections beyond it, health probes are answered; other requests wait
    /// two seconds for a place and are then refused with `overloaded`. An address may open more while it has less than
    /// three times as many as are free: a single address three quarters of all. Default 1,024.
    pub connections_max: usize,
    /// How long a new connection may take for the TLS handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a new connection may take to send its first request head, and any connection to complete a head that it
    /// has begun. Default 10 s.
    pub head_timeout: Duration,
    /// How long a connection may stay open between two requests. Default 75 s.
    pub idle_timeout: Duration,
    /// How long a client may read nothing of its response, and an NDJSON upload may pause in both directions, before
    /// the connection is cut (in HTTP/2: the stream is reset). Default 30 s.
    pub stall_timeout: Duration,
    /// How many bytes a second a client must take of a response, and send of a body that is read as a whole, once it has
    /// used up `stall_timeout` or `body_pause_timeout`: slower ones are treated like silent ones. 0: any number. Default
    /// 4,096.
    pub bytes_per_second_min: u64,
    /// How long a client may pause within the body of a request that is read as a whole: then `408`. Default 15 s.
    pub body_pause_timeout: Duration,
    /// How long such a body may take altogether: then `408`. Default 120 s.
    pub body_timeout: Duration,
    /// The age at which a connection begins to close, as soon as its requests in flight are answered. Event streams
    /// end, and their clients resume them. Default 1 h.
    pub connection_age_max: Duration,
    /// How long requests in flight may take after that age, before the connection is cut. Default 30 min.
    pub connection_grace: Duration,
    /// How long after the request to stop connections are still accepted while `/readyz` answers `503`, so that load
    /// balancers notice. Default 0.
    pub lame_duck: Duration,
    /// How long requests in flight may take to finish after `lame_duck`; then they are cut. Default 20 s.
    pub drain_timeout: Duration,
    /// How long a health probe of a dependency may take before the dependency counts as down. Default 2 s.
    pub probe_timeout: Duration,
    /// The interval at which a silent event stream sends a comment, so that no proxy times it out. Default 15 s.
    pub keep_alive_interval: Duration,
    /// Largest body of a single record, and longest line of NDJSON, in bytes. Default 64 KiB.
    pub record_bytes_max: usize,
    /// Largest body of a JSON batch, in bytes. Default 16 MiB.
    pub batch_bytes_max: usize,
    /// Most records in a JSON batch. Default 10,000.
    pub batch_records_max: usize,
    /// How many bytes of batch results wait to be sent, over all connections; a caller has about three quarters. Results beyond it are read from the store
    /// again as they are sent. Default 64 MiB.
    pub result_buffer_bytes_max: usize,
    /// How many bytes of JSON batches are in memory at once, over all connections; further ones wait. A caller has
    /// about three quarters, and one batch at a time may exceed the limit. Default 128 MiB, and never below
    /// `batch_bytes_max`.
    pub batch_buffer_bytes_max: usize,
    /// How many bytes of responses wait at once to be read, over all connections; a caller has about three quarters.
    /// Further responses are refused with `overloaded`, and further HTTP/2 streams before they are begun. Default 64 MiB.
    pub response_buffer_bytes_max: usize,
    /// How long the dry run of an alert rule may read records; after that it reports the records examined so far.
    /// Default 10 s.
    pub dry_run_timeout: Duration,
    /// How many aggregates, exports and dry runs are in flight at once; further ones wait a second and are then refused
    /// with `overloaded`. At most as many as the store can stream at once. A caller has about three quarters. Default
    /// 4.
    pub aggregates_max: usize,
    /// How many short reads are in flight at once; further ones wait up to five seconds, their callers in turn. At most as
    /// many as the store has connections for short reads. A caller has about three quarters. Default 4.
    pub reads_max: usize,
    /// How long an aggregate or an export may take; then it breaks off. Each holds a permit, and an aggregate a
    /// snapshot. Default 30 min.
    pub snapshot_age_max: Duration,
    /// Size of the cache of responses with totals, in bytes. A cached response is valid until the next record is
    /// stored. 0 caches none. Default: 8 MiB.
    pub cache_bytes: usize,
    /// How many event streams are open at once; further ones are refused with `overloaded`. A caller has at most three
    /// quarters. Default 256.
    pub event_streams_max: usize,
    /// The rate limit of each caller. Default: none.
    pub rate_limit: Option<RateLimit>,
}

/// The rate limit of a caller: each record written takes a unit, and so does each read. A caller is
/// the keys of one name or, without keys, an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Units that a caller gains each second; at least 1.
    pub per_second: u64,
    /// Most units that a caller can save up; at least 1.
    pub burst: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            bytes_per_second_min: 4_096,
            body_pause_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(120),
            connection_age_max: Duration::from_secs(3_600),
            connection_grace: Duration::from_secs(1_800),
            lame_duck: Duration::ZERO,
            drain_timeout: Duration::from_secs(20),
            probe_timeout: Duration::from_secs(2),
            keep_alive_interval: Duration::from_secs(15),
            record_bytes_max: 64 * 1024,
            batch_bytes_max: 16 * 1024 * 1024,
            batch_records_max: 10_000,
            result_buffer_bytes_max: 64 * 1024 * 1024,
            batch_buffer_bytes_max: 128 * 1024 * 1024,
            response_buffer_bytes_max: 64 * 1024 * 1024,
            dry_run_timeout: Duration::from_secs(10),
            aggregates_max: 4,
            reads_max: 4,
            snapshot_age_max: Duration::from_secs(1_800),
            cache_bytes: 8 * 1024 * 1024,
            event_streams_max: 256,
            rate_limit: None,
        }
    }
}

impl HttpSettings {
    /// Returns the minimum rate of a response.
    pub(crate) fn response_min_rate(&self) -> MinRate {
        MinRate { grace: self.stall_timeout, bytes_per_second_min: self.bytes_per_second_min }
    }

    /// Returns the minimum rate of a body that is read as a whole.
    pub(crate) fn body_min_rate(&self) -> MinRate {
        MinRate { grace: self.body_pause_timeout, bytes_per_second_min: self.bytes_per_second_min }
    }

    /// Returns how long a client may do nothing while the server stops: at most a quarter of `drain_timeout`.
    pub(crate) fn drain_grace(&self) -> Duration {
        self.stall_timeout.min(self.drain_timeout / 4)
    }
}
