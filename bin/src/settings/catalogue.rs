//! The catalogue of settings: name, kind, default and purpose. A test compares the documentation with it.

/// The kind of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text that is not empty.
    Text,
    /// A text that may hold a password, such as a URL: it is masked in all output.
    SecretText,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A whole number in a range, both ends included.
    Number(u64, u64),
    /// `true` or `false`.
    Flag,
    /// The decimal of an alert threshold, or `none`.
    Threshold,
    /// The alert rules, which only a file can hold.
    Rules,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Its name: its path in the settings file.
    pub(crate) key: &'static str,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its default; `None` if the setting may be absent.
    pub(crate) default: Option<&'static str>,
    /// Its purpose, in one sentence.
    pub(crate) doc: &'static str,
}

/// A day in milliseconds, the upper bound of every wait.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// The upper bound of counts and sizes: beyond every machine's memory, and safe from overflow in sums.
const MANY: u64 = 1 << 40;

const fn setting(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { key, kind, default: Some(default), doc }
}

const fn optional(key: &'static str, kind: Kind, doc: &'static str) -> Setting {
    Setting { key, kind, default: None, doc }
}

/// All settings, in the order in which they are shown.
pub(crate) const CATALOGUE: &[Setting] = &[
    setting("listen", Kind::Text, "127.0.0.1:8080", "Address and port to listen on; port 0 takes a free one."),
    setting(
        "database.url",
        Kind::SecretText,
        "sqlite://tallyhouse.db",
        "Where records are kept: sqlite://FILE, sqlite::memory: (a temporary file, gone at exit), or postgres://….",
    ),
    setting(
        "sqlite.busy_timeout_ms",
        Kind::Number(0, DAY_MS),
        "5000",
        "Longest wait of a statement for another process's write lock.",
    ),
    setting(
        "sqlite.readers",
        Kind::Number(1, 64),
        "2",
        "Connections for short reads. Each may keep a core from the commits.",
    ),
    setting("sqlite.streams", Kind::Number(1, 64), "4", "Connections for streamed answers."),
    setting("sqlite.reader_wait_ms", Kind::Number(1, DAY_MS), "5000", "Longest wait of a read for a free connection."),
    setting(
        "postgres.writers",
        Kind::Number(1, 256),
        "4",
        "Connections for commits, and thus batches that are committed at once.",
    ),
    setting("postgres.readers", Kind::Number(1, 256), "4", "Connections for short reads."),
    setting("postgres.streams", Kind::Number(1, 256), "4", "Connections for streamed answers."),
    setting(
        "postgres.acquire_timeout_ms",
        Kind::Number(1, DAY_MS),
        "3000",
        "Longest wait for a connection from the pool.",
    ),
    setting(
        "postgres.connect_timeout_ms",
        Kind::Number(1, DAY_MS),
        "3000",
        "Longest wait for the server to accept a connection, in whole seconds and two at least.",
    ),
    setting("postgres.write_timeout_ms", Kind::Number(1, DAY_MS), "10000", "Longest run of a statement of a commit."),
    setting("postgres.lock_timeout_ms", Kind::Number(1, DAY_MS), "5000", "Longest wait of a commit for other commits."),
    setting("postgres.read_timeout_ms", Kind::Number(1, DAY_MS), "30000", "Longest run of a short read."),
    setting(
        "postgres.stream_timeout_ms",
        Kind::Number(1, DAY_MS),
        "600000",
        "Longest run of one fetch of a streamed answer.",
    ),
    setting(
        "postgres.migrate_timeout_ms",
        Kind::Number(1, DAY_MS),
        "600000",
        "Longest wait at the start for migrations, another instance's included.",
    ),
    setting(
        "postgres.tcp_user_timeout_ms",
        Kind::Number(1, DAY_MS),
        "10000",
        "How long sent data may stay unacknowledged before a connection counts as dead.",
    ),
    setting(
        "postgres.keepalive_ms",
        Kind::Number(1_000, DAY_MS),
        "10000",
        "Idle time after which TCP keep-alive probes begin.",
    ),
    optional("redis.url", Kind::SecretText, "Redis, for queues, published messages and dead letters; none: without."),
    setting("redis.prefix", Kind::Text, "tallyhouse", "Prefix of every key and channel in Redis."),
    setting("redis.durable", Kind::Flag, "false", "Whether messages are also added to a stream beside their channel."),
    setting("redis.durable_max_len", Kind::Number(1, MANY), "100000", "About how many messages such a stream keeps."),
    optional(
        "redis.ca_file",
        Kind::Text,
        "PEM file with the certificate authorities for TLS; none: those of the system.",
    ),
    setting("redis.connect_timeout_ms", Kind::Number(1, DAY_MS), "2000", "Longest wait for a connection."),
    setting(
        "redis.response_timeout_ms",
        Kind::Number(1, DAY_MS),
        "3000",
        "Longest wait for an answer, beyond the blocking time of the command itself.",
    ),
    setting(
        "redis.block_ms",
        Kind::Number(1, DAY_MS),
        "3000",
        "Longest blocking time of one call that receives records.",
    ),
    setting(
        "redis.lease_ms",
        Kind::Number(100, DAY_MS),
        "6000",
        "How long a consumer may be silent before others claim its payloads.",
    ),
    setting("redis.consumers", Kind::Number(1, 64), "1", "How many consumers each queue has in this process."),
    setting(
        "alerts.threshold",
        Kind::Threshold,
        "10000",
        "A value strictly above it raises an alert of the rule named default, in any unit; none switches it off.",
    ),
    optional("alerts.rules", Kind::Rules, "Further rules, as [[alerts.rules]] tables."),
    setting("messages.records_source", Kind::Text, "urn:tallyhouse:records", "CloudEvents source of notifications."),
    setting("messages.alerts_source", Kind::Text, "urn:tallyhouse:alerts", "CloudEvents source of alerts."),
    setting(
        "http.connections_max",
        Kind::Number(1, 1_000_000),
        "1024",
        "Connections that are open at once, an address alone having about three quarters; beyond it only health probes are answered, and other requests wait 2 s.",
    ),
    setting("http.head_timeout_ms", Kind::Number(1, DAY_MS), "10000", "How long a request head may take to arrive."),
    setting(
        "http.idle_timeout_ms",
        Kind::Number(1, DAY_MS),
        "75000",
        "How long a connection may be idle between requests.",
    ),
    setting(
        "http.stall_timeout_ms",
        Kind::Number(1, DAY_MS),
        "30000",
        "How long a client may leave an answer unread, and an NDJSON upload may rest in both directions.",
    ),
    setting(
        "http.bytes_per_second_min",
        Kind::Number(0, MANY),
        "4096",
        "Least rate at which a client must take an answer, or send a body; below it the client counts as stalled. 0: any rate.",
    ),
    setting(
        "http.body_pause_timeout_ms",
        Kind::Number(1, DAY_MS),
        "15000",
        "How long a client may pause within a body.",
    ),
    setting("http.body_timeout_ms", Kind::Number(1, DAY_MS), "120000", "How long a body may take altogether."),
    setting(
        "http.connection_age_max_ms",
        Kind::Number(1_000, DAY_MS),
        "3600000",
        "After which age a connection is asked to close; event streams are resumed by their clients.",
    ),
    setting(
        "http.connection_grace_ms",
        Kind::Number(0, DAY_MS),
        "1800000",
        "How long requests in progress may take after that, uploads of NDJSON included; then the connection is cut.",
    ),
    setting(
        "http.lame_duck_ms",
        Kind::Number(0, DAY_MS),
        "0",
        "How long connections are still accepted during a stop, while /readyz already answers 503.",
    ),
    setting(
        "http.drain_timeout_ms",
        Kind::Number(1, DAY_MS),
        "20000",
        "How long requests in progress may take after that.",
    ),
    setting("http.probe_timeout_ms", Kind::Number(1, DAY_MS), "2000", "Deadline of the health checks of dependencies."),
    setting(
        "http.keep_alive_interval_ms",
        Kind::Number(10, DAY_MS),
        "15000",
        "How often idle event streams send a comment.",
    ),
    setting(
        "http.record_bytes_max",
        Kind::Number(1_024, MANY),
        "65536",
        "Largest record, and longest line of NDJSON, in bytes.",
    ),
    setting("http.batch_bytes_max", Kind::Number(1_024, MANY), "16777216", "Largest body of a JSON batch, in bytes."),
    setting("http.batch_records_max", Kind::Number(1, 10_000_000), "10000", "Most records in a JSON batch."),
    setting(
        "http.result_buffer_bytes_max",
        Kind::Number(65_536, 4_294_967_295),
        "67108864",
        "Bytes of results of batches that wait to be sent, over all connections, a caller having about three quarters; beyond, results are read from the database again.",
    ),
    setting(
        "http.batch_buffer_bytes_max",
        Kind::Number(1_024, MANY),
        "134217728",
        "Bytes of JSON batches that are held at once over all connections, a caller having about three quarters; further ones wait.",
    ),
    setting(
        "http.response_buffer_bytes_max",
        Kind::Number(65_536, MANY),
        "67108864",
        "Bytes of answers that wait to be read over all connections, a caller having about three quarters; further answers are refused.",
    ),
    setting(
        "http.dry_run_timeout_ms",
        Kind::Number(1, DAY_MS),
        "10000",
        "How long the dry run of an alert rule may look at records; what it has found by then is its answer.",
    ),
    setting(
        "http.aggregates_max",
        Kind::Number(1, 256),
        "4",
        "Aggregates, exports and dry runs that are answered at once, a caller having about three quarters; more wait for a second. No more than postgres.streams or sqlite.streams.",
    ),
    setting(
        "http.snapshot_age_max_ms",
        Kind::Number(1, DAY_MS),
        "1800000",
        "How long an aggregate or an export may take, with its place and, for an aggregate, its snapshot of the database; then it breaks off.",
    ),
    setting(
        "http.cache_bytes",
        Kind::Number(0, MANY),
        "8388608",
        "Size of the cache of totals, which holds until the next commit; 0: no cache.",
    ),
    setting(
        "http.event_streams_max",
        Kind::Number(1, 1_000_000),
        "256",
        "Event streams that are open at once, a caller having about three quarters.",
    ),
    optional(
        "http.proxies",
        Kind::Text,
        "Addresses and networks of proxies in front, with commas between them: they may take all that callers share.",
    ),
    optional("auth.keys_file", Kind::Text, "File with the API keys; none: every caller may do everything."),
    optional(
        "auth.hosts",
        Kind::Text,
        "Host names, separated by commas, by which callers without keys may call a service on loopback, beside localhost; *: any.",
    ),
    setting("auth.anonymous", Kind::Flag, "false", "Whether to listen beyond loopback without keys."),
    optional(
        "rate_limit.per_second",
        Kind::Number(1, MANY),
        "How many records a second each caller may send; a call that reads counts as one. None: any number.",
    ),
    optional(
        "rate_limit.burst",
        Kind::Number(1, MANY),
        "How many it may send at once after a pause; none: as many as in a second.",
    ),
    optional("tls.cert_file", Kind::Text, "PEM file with the certificate chain of HTTPS; none: HTTP."),
    optional("tls.key_file", Kind::Text, "PEM file with its private key, not encrypted."),
    setting("tls.handshake_timeout_ms", Kind::Number(1, DAY_MS), "10000", "How long a TLS handshake may take."),
    optional("log.format", Kind::Choice(&["text", "json"]), "text or json; none: text on a terminal, else json."),
    setting("log.filter", Kind::Text, "info", "Which events are logged, e.g. info,tallyhouse_pipeline=debug."),
    setting(
        "log.requests",
        Kind::Flag,
        "false",
        "Whether each request has a line in the log, regardless of log.filter.",
    ),
    optional(
        "otlp.endpoint",
        Kind::SecretText,
        "Collector of traces, by OTLP over HTTP, e.g. http://127.0.0.1:4318; none: no traces.",
    ),
    setting("otlp.service_name", Kind::Text, "tallyhouse", "Name of this service in traces."),
    setting(
        "otlp.sample_per_thousand",
        Kind::Number(0, 1_000),
        "1000",
        "How many of a thousand requests without a traceparent begin a trace; with one, its flag decides.",
    ),
    setting("otlp.timeout_ms", Kind::Number(1, DAY_MS), "5000", "Deadline of one export to the collector."),
    setting("stop.deadline_ms", Kind::Number(1, DAY_MS), "30000", "How long a stop may take."),
    setting(
        "runtime.worker_threads",
        Kind::Number(0, 1024),
        "0",
        "Threads that run the service; 0: one per processor.",
    ),
    setting(
        "feed.poll_interval_ms",
        Kind::Number(1, DAY_MS),
        "500",
        "How often subscribers poll for messages of other instances.",
    ),
    setting(
        "pipeline.writers",
        Kind::Number(0, 256),
        "0",
        "How many batches are committed at once; 0: the database's default. SQLite always commits one and prepares the next.",
    ),
    setting("pipeline.batch_records_max", Kind::Number(1, 100_000), "1000", "Most records in one batch."),
    setting(
        "pipeline.join_records_min",
        Kind::Number(1, 1_000_000),
        "250",
        "Waiting records from which another batch begins during a commit; fewer wait for its end, or for 50 ms.",
    ),
    setting(
        "pipeline.intake_records_max",
        Kind::Number(1, 10_000_000),
        "20000",
        "Most records that wait at each ingress.",
    ),
    setting(
        "pipeline.intake_bytes_max",
        Kind::Number(65_536, 4_294_967_295),
        "33554432",
        "Most bytes of records that wait at each ingress.",
    ),
    setting(
        "pipeline.commit_retry_timeout_ms",
        Kind::Number(0, DAY_MS),
        "5000",
        "How long a commit is retried before its records are answered with unavailable.",
    ),
    setting("pipeline.retry_wait_min_ms", Kind::Number(1, DAY_MS), "50", "First wait before a retry."),
    setting("pipeline.retry_wait_max_ms", Kind::Number(1, DAY_MS), "2000", "Longest wait before a retry."),
    setting(
        "pipeline.open_after_ms",
        Kind::Number(0, DAY_MS),
        "5000",
        "How long publishing or a queue fails before its circuit breaker opens; that of storage opens after commit_retry_timeout_ms.",
    ),
    setting(
        "pipeline.ping_after_ms",
        Kind::Number(1, DAY_MS),
        "2000",
        "How long a commit may take before the database is pinged.",
    ),
    setting(
        "pipeline.ping_timeout_ms",
        Kind::Number(1, DAY_MS),
        "2000",
        "How long a dependency may take to answer a ping before it counts as unavailable.",
    ),
    setting(
        "pipeline.lease_ms",
        Kind::Number(100, DAY_MS),
        "10000",
        "How long this instance's claim on unpublished messages outlasts its last sign of life.",
    ),
    setting(
        "pipeline.mark_published_delay_ms",
        Kind::Number(1, DAY_MS),
        "200",
        "How long published batches wait to be marked as published by the next commit.",
    ),
    setting(
        "pipeline.relay_batches_max",
        Kind::Number(1, 100_000),
        "64",
        "Committed batches that wait in memory for publication; further ones are read from the database.",
    ),
    setting(
        "pipeline.relay_bytes_max",
        Kind::Number(65_536, 4_294_967_295),
        "33554432",
        "Bytes of records and summaries in these batches; from there on, too, they are read from the database.",
    ),
];

/// Returns the setting of this name.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    CATALOGUE.iter().find(|setting| setting.key == key)
}

/// Returns the known name that is most similar to an unknown one.
pub(crate) fn nearest(unknown: &str) -> &'static str {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |key: &str| {
        let whole = strsim::jaro_winkler(unknown, key);
        // `redis_url` and `url` mean `redis.url`, and so does the bare section `redis`.
        let flat = strsim::normalized_damerau_levenshtein(&unknown.replace('.', "_"), &key.replace('.', "_"));
        let end = strsim::normalized_damerau_levenshtein(&last(unknown), &last(key));
        whole + 2.0 * flat + 0.5 * end
    };
    let best = CATALOGUE.iter().max_by(|a, b| likeness(a.key).total_cmp(&likeness(b.key)));
    best.map_or("listen", |setting| setting.key)
}

#[cfg(test)]
mod tests;
