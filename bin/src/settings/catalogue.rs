//! Every setting: its name, its kind, its default and what it is for. The documentation is made from here, too.

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text that is not empty.
    Text,
    /// A text that may hold a password, as URLs do: masked wherever it is shown.
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
    /// What it may be.
    pub(crate) kind: Kind,
    /// What holds when nothing is set; `None` where a setting may be absent.
    pub(crate) default: Option<&'static str>,
    /// What it is for.
    pub(crate) doc: &'static str,
}

/// A day in milliseconds: no wait in the program is meant to be longer.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// More than any machine can hold, and small enough for every arithmetic with it.
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
        "How long a statement waits for another process that writes.",
    ),
    setting("sqlite.readers", Kind::Number(1, 64), "4", "Questions that are answered at once."),
    setting("sqlite.streams", Kind::Number(1, 64), "4", "Answers that are streamed at once."),
    setting(
        "sqlite.reader_wait_ms",
        Kind::Number(1, DAY_MS),
        "5000",
        "How long a question or a stream waits for its turn.",
    ),
    setting(
        "postgres.writers",
        Kind::Number(1, 256),
        "4",
        "Connections for commits: as many batches are committed at once.",
    ),
    setting("postgres.readers", Kind::Number(1, 256), "4", "Connections for short reads."),
    setting("postgres.streams", Kind::Number(1, 256), "4", "Connections for answers that are streamed."),
    setting(
        "postgres.acquire_timeout_ms",
        Kind::Number(1, DAY_MS),
        "3000",
        "Longest wait for a connection of the pool.",
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
        "After which silence the server is asked whether it is still there.",
    ),
    optional("redis.url", Kind::SecretText, "Redis, for queues, published messages and dead letters; none: without."),
    setting("redis.prefix", Kind::Text, "tallyhouse", "What every key and channel in Redis begins with."),
    setting("redis.durable", Kind::Flag, "false", "Whether messages are also added to a stream beside their channel."),
    setting("redis.durable_max_len", Kind::Number(1, MANY), "100000", "About how many messages such a stream keeps."),
    optional("redis.ca_file", Kind::Text, "PEM file with the authorities for TLS; none: those that the system trusts."),
    setting("redis.connect_timeout_ms", Kind::Number(1, DAY_MS), "2000", "How long a connection may take to be made."),
    setting(
        "redis.response_timeout_ms",
        Kind::Number(1, DAY_MS),
        "3000",
        "How long an answer may take, beyond what the command itself waits.",
    ),
    setting("redis.block_ms", Kind::Number(1, DAY_MS), "3000", "How long one call waits at Redis for a record."),
    setting(
        "redis.lease_ms",
        Kind::Number(100, DAY_MS),
        "6000",
        "How long a consumer may be silent before others take over what it holds.",
    ),
    setting("redis.consumers", Kind::Number(1, 64), "1", "How many consumers each queue has in this process."),
    setting(
        "alerts.threshold",
        Kind::Threshold,
        "10000",
        "A value strictly above it is an alert by the rule named default, in any unit; none switches it off.",
    ),
    optional("alerts.rules", Kind::Rules, "Further rules, as [[alerts.rules]] tables."),
    setting("messages.records_source", Kind::Text, "urn:tallyhouse:records", "CloudEvents source of notifications."),
    setting("messages.alerts_source", Kind::Text, "urn:tallyhouse:alerts", "CloudEvents source of alerts."),
    setting(
        "http.connections_max",
        Kind::Number(1, 1_000_000),
        "1024",
        "Connections that are open at once; more wait.",
    ),
    setting("http.head_timeout_ms", Kind::Number(1, DAY_MS), "10000", "How long a request head may take to arrive."),
    setting(
        "http.idle_timeout_ms",
        Kind::Number(1, DAY_MS),
        "75000",
        "How long a connection may rest between requests.",
    ),
    setting(
        "http.stall_timeout_ms",
        Kind::Number(1, DAY_MS),
        "30000",
        "How long a client may leave an answer unread, and an NDJSON upload may rest in both directions.",
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
        "http.lame_duck_ms",
        Kind::Number(0, DAY_MS),
        "0",
        "How long connections are still taken after a stop was asked for, while /readyz already says 503.",
    ),
    setting(
        "http.drain_timeout_ms",
        Kind::Number(1, DAY_MS),
        "20000",
        "How long requests under way may take after that.",
    ),
    setting(
        "http.probe_timeout_ms",
        Kind::Number(1, DAY_MS),
        "2000",
        "How long dependencies may take to say how they are.",
    ),
    setting(
        "http.keep_alive_interval_ms",
        Kind::Number(10, DAY_MS),
        "15000",
        "How often silent event streams send a comment.",
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
        "http.batch_buffer_bytes_max",
        Kind::Number(1_024, MANY),
        "134217728",
        "Bytes of JSON batches that are held at once over all connections; further batches wait.",
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
        "Aggregates, exports and dry runs that are answered at once; more wait for a second. No more than postgres.streams or sqlite.streams.",
    ),
    setting(
        "http.cache_bytes",
        Kind::Number(0, MANY),
        "8388608",
        "Bytes of totals that are kept in memory to be sent again as long as nothing is stored; 0: none.",
    ),
    setting("http.event_streams_max", Kind::Number(1, 1_000_000), "256", "Event streams that are open at once."),
    optional("auth.keys_file", Kind::Text, "File with the API keys; none: whoever can connect may call everything."),
    setting("auth.anonymous", Kind::Flag, "false", "Whether to listen beyond loopback without keys."),
    optional(
        "rate_limit.per_second",
        Kind::Number(1, MANY),
        "How many records a second each caller may send; a call that reads counts as one. None: any number.",
    ),
    optional(
        "rate_limit.burst",
        Kind::Number(1, MANY),
        "How many of them it may save up while it sends none; none: those of a second.",
    ),
    optional(
        "tls.cert_file",
        Kind::Text,
        "PEM file with the certificate to serve HTTPS with, and those up to its authority; none: HTTP.",
    ),
    optional("tls.key_file", Kind::Text, "PEM file with its key, not encrypted."),
    setting("tls.handshake_timeout_ms", Kind::Number(1, DAY_MS), "10000", "How long a TLS handshake may take."),
    optional("log.format", Kind::Choice(&["text", "json"]), "text or json; none: text on a terminal, else json."),
    setting("log.filter", Kind::Text, "info", "Which events are logged, e.g. info,tallyhouse_pipeline=debug."),
    setting(
        "log.requests",
        Kind::Flag,
        "false",
        "Whether each request has a line in the log, whatever log.filter says.",
    ),
    optional(
        "otlp.endpoint",
        Kind::SecretText,
        "Collector that takes traces as OTLP by HTTP, e.g. http://127.0.0.1:4318; none: without traces.",
    ),
    setting("otlp.service_name", Kind::Text, "tallyhouse", "What this service is called in traces."),
    setting(
        "otlp.sample_per_thousand",
        Kind::Number(0, 1_000),
        "1000",
        "How many of a thousand requests without a traceparent begin a trace; with one, its flag decides.",
    ),
    setting("otlp.timeout_ms", Kind::Number(1, DAY_MS), "5000", "How long the collector may take for one delivery."),
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
        "How often followers look for other instances' messages.",
    ),
    setting(
        "pipeline.writers",
        Kind::Number(0, 256),
        "0",
        "How many batches are committed at once; 0: as suits the database. SQLite always commits one, and prepares the next.",
    ),
    setting(
        "pipeline.batch_records_max",
        Kind::Number(1, 100_000),
        "1000",
        "Records that are committed together at most.",
    ),
    setting(
        "pipeline.join_records_min",
        Kind::Number(1, 1_000_000),
        "250",
        "Records that must wait for another batch to begin while one is being committed; fewer wait for its end, or 50 ms.",
    ),
    setting(
        "pipeline.intake_records_max",
        Kind::Number(1, 10_000_000),
        "20000",
        "Records that wait at each ingress at most.",
    ),
    setting(
        "pipeline.intake_bytes_max",
        Kind::Number(65_536, 4_294_967_295),
        "33554432",
        "Bytes of records that wait at each ingress at most.",
    ),
    setting(
        "pipeline.commit_retry_timeout_ms",
        Kind::Number(0, DAY_MS),
        "5000",
        "For how long a commit is tried again before its records are answered with unavailable.",
    ),
    setting(
        "pipeline.retry_wait_min_ms",
        Kind::Number(1, DAY_MS),
        "50",
        "The first wait before something is tried again.",
    ),
    setting(
        "pipeline.retry_wait_max_ms",
        Kind::Number(1, DAY_MS),
        "2000",
        "The longest wait before something is tried again.",
    ),
    setting(
        "pipeline.open_after_ms",
        Kind::Number(0, DAY_MS),
        "5000",
        "For how long publishing, or a queue, fails before its circuit breaker opens; storage's opens after commit_retry_timeout_ms.",
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
        "For how long owed messages are this instance's after it was last heard of.",
    ),
    setting(
        "pipeline.mark_published_delay_ms",
        Kind::Number(1, DAY_MS),
        "200",
        "How long published batches wait to be settled together with the next commit.",
    ),
    setting(
        "pipeline.relay_batches_max",
        Kind::Number(1, 100_000),
        "64",
        "Committed batches that wait in memory to be published; those beyond are read again from the database.",
    ),
];

/// Returns the setting of this name.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    CATALOGUE.iter().find(|setting| setting.key == key)
}

/// Returns the name of the setting that this unknown name is most like.
pub(crate) fn nearest(unknown: &str) -> &'static str {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |key: &str| {
        let whole = strsim::jaro_winkler(unknown, key);
        // `redis_url` and `url` are meant as `redis.url`; so is the bare name of a section.
        let flat = strsim::normalized_damerau_levenshtein(&unknown.replace('.', "_"), &key.replace('.', "_"));
        let end = strsim::normalized_damerau_levenshtein(&last(unknown), &last(key));
        whole + 2.0 * flat + 0.5 * end
    };
    let best = CATALOGUE.iter().max_by(|a, b| likeness(a.key).total_cmp(&likeness(b.key)));
    best.map_or("listen", |setting| setting.key)
}

#[cfg(test)]
mod tests;
