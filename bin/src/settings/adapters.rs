//! Converts settings to the settings types of the adapters.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use tallyhouse_http::{HttpSettings, RateLimit};
use tallyhouse_postgres::PostgresSettings;
use tallyhouse_redis::RedisSettings;
use tallyhouse_sqlite::SqliteSettings;
use url::Url;

use super::database::DatabaseUrl;
use super::resolved::Resolved;
use super::{SettingsError, TlsFiles};

/// Returns the settings of SQLite. The path is set when the database is opened.
pub(super) fn sqlite(resolved: &Resolved) -> SqliteSettings {
    SqliteSettings {
        path: PathBuf::new(),
        busy_timeout: resolved.millis("sqlite.busy_timeout_ms"),
        readers: small_count(resolved, "sqlite.readers"),
        streams: small_count(resolved, "sqlite.streams"),
        reader_wait: resolved.millis("sqlite.reader_wait_ms"),
    }
}

/// Returns the settings of Postgres.
pub(super) fn postgres(resolved: &Resolved) -> PostgresSettings {
    PostgresSettings {
        url: resolved.text("database.url"),
        writers: small_count(resolved, "postgres.writers"),
        readers: small_count(resolved, "postgres.readers"),
        streams: small_count(resolved, "postgres.streams"),
        acquire_timeout: resolved.millis("postgres.acquire_timeout_ms"),
        connect_timeout: resolved.millis("postgres.connect_timeout_ms"),
        write_timeout: resolved.millis("postgres.write_timeout_ms"),
        lock_timeout: resolved.millis("postgres.lock_timeout_ms"),
        read_timeout: resolved.millis("postgres.read_timeout_ms"),
        stream_timeout: resolved.millis("postgres.stream_timeout_ms"),
        migrate_timeout: resolved.millis("postgres.migrate_timeout_ms"),
        tcp_user_timeout: resolved.millis("postgres.tcp_user_timeout_ms"),
        keepalive: resolved.millis("postgres.keepalive_ms"),
    }
}

/// Returns the settings of Redis, if `redis.url` is set.
pub(super) fn redis(resolved: &Resolved) -> Result<Option<RedisSettings>, SettingsError> {
    let Some(url) = resolved.optional("redis.url") else { return Ok(None) };
    check_redis_parameters(&url).map_err(|fault| resolved.fault("redis.url", fault))?;
    Ok(Some(RedisSettings {
        url,
        prefix: resolved.text("redis.prefix"),
        durable: resolved.flag("redis.durable"),
        durable_max_len: resolved.number("redis.durable_max_len"),
        ca_file: resolved.optional("redis.ca_file").map(PathBuf::from),
        connect_timeout: resolved.millis("redis.connect_timeout_ms"),
        response_timeout: resolved.millis("redis.response_timeout_ms"),
        block: resolved.millis("redis.block_ms"),
        lease: resolved.millis("redis.lease_ms"),
    }))
}

/// The client ignores unknown parameters of a server's URL. A password among them would be lost without a word.
fn check_redis_parameters(url: &str) -> Result<(), String> {
    let known: &[&str] = match url.split_once("://") {
        Some(("redis" | "rediss", _)) => &["protocol"],
        Some(("unix", _)) => &["db", "user", "pass", "protocol"],
        // The adapter checks the forms for sentinels and clusters itself.
        _ => return Ok(()),
    };
    let parsed = Url::parse(url).ok();
    let unknown = parsed.iter().flat_map(Url::query_pairs).find(|(name, _)| !known.contains(&name.as_ref()));
    match unknown {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "has the unknown parameter {name:?}; user and password stand before the host, as in redis://USER:PASSWORD@HOST"
        )),
    }
}

/// Returns the settings of the HTTP server.
pub(super) fn http(resolved: &Resolved, database: &DatabaseUrl, rate_limit: Option<RateLimit>) -> HttpSettings {
    let readers = match database {
        DatabaseUrl::Sqlite(_) | DatabaseUrl::Temporary => "sqlite.readers",
        DatabaseUrl::Postgres(_) => "postgres.readers",
    };
    HttpSettings {
        connections_max: resolved.count("http.connections_max"),
        handshake_timeout: resolved.millis("tls.handshake_timeout_ms"),
        head_timeout: resolved.millis("http.head_timeout_ms"),
        idle_timeout: resolved.millis("http.idle_timeout_ms"),
        stall_timeout: resolved.millis("http.stall_timeout_ms"),
        bytes_per_second_min: resolved.number("http.bytes_per_second_min"),
        body_pause_timeout: resolved.millis("http.body_pause_timeout_ms"),
        body_timeout: resolved.millis("http.body_timeout_ms"),
        connection_age_max: resolved.millis("http.connection_age_max_ms"),
        connection_grace: resolved.millis("http.connection_grace_ms"),
        lame_duck: resolved.millis("http.lame_duck_ms"),
        drain_timeout: resolved.millis("http.drain_timeout_ms"),
        probe_timeout: resolved.millis("http.probe_timeout_ms"),
        keep_alive_interval: resolved.millis("http.keep_alive_interval_ms"),
        record_bytes_max: resolved.count("http.record_bytes_max"),
        batch_bytes_max: resolved.count("http.batch_bytes_max"),
        batch_records_max: resolved.count("http.batch_records_max"),
        result_buffer_bytes_max: resolved.count("http.result_buffer_bytes_max"),
        batch_buffer_bytes_max: resolved.count("http.batch_buffer_bytes_max"),
        response_buffer_bytes_max: resolved.count("http.response_buffer_bytes_max"),
        dry_run_timeout: resolved.millis("http.dry_run_timeout_ms"),
        aggregates_max: resolved.count("http.aggregates_max"),
        reads_max: resolved.count(readers),
        snapshot_age_max: resolved.millis("http.snapshot_age_max_ms"),
        cache_bytes: resolved.count("http.cache_bytes"),
        event_streams_max: resolved.count("http.event_streams_max"),
        rate_limit,
    }
}

/// Returns the proxies in front.
pub(super) fn proxies(resolved: &Resolved) -> Result<Vec<IpNet>, SettingsError> {
    let text = resolved.optional("http.proxies").unwrap_or_default();
    let proxies = text.split(',').map(str::trim).filter(|proxy| !proxy.is_empty());
    let parsed = proxies.map(|proxy| proxy.parse::<IpAddr>().map(IpNet::from).or_else(|_| proxy.parse::<IpNet>()));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| resolved.fault("http.proxies", "must be addresses or networks, as in 192.0.2.1, 10.0.0.0/8"))
}

/// Returns the files of HTTPS, if they are set.
pub(super) fn tls(resolved: &Resolved) -> Result<Option<TlsFiles>, SettingsError> {
    let file = |key| resolved.optional(key).map(PathBuf::from);
    match (file("tls.cert_file"), file("tls.key_file")) {
        (Some(cert_file), Some(key_file)) => Ok(Some(TlsFiles { cert_file, key_file })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) if resolved.is_any_wrong(["tls.cert_file", "tls.key_file"]) => Ok(None),
        (Some(_), None) => Err(resolved.fault("tls.cert_file", "needs tls.key_file")),
        (None, Some(_)) => Err(resolved.fault("tls.key_file", "needs tls.cert_file")),
    }
}

/// Returns the rate limit, if it is set.
pub(super) fn rate_limit(resolved: &Resolved) -> Result<Option<RateLimit>, SettingsError> {
    let set = |key| resolved.is_set(key).then(|| resolved.number(key));
    match (set("rate_limit.per_second"), set("rate_limit.burst")) {
        (Some(per_second), burst) => Ok(Some(RateLimit { per_second, burst: burst.unwrap_or(per_second) })),
        (None, None) => Ok(None),
        (None, Some(_)) if resolved.is_any_wrong(["rate_limit.per_second"]) => Ok(None),
        (None, Some(_)) => Err(resolved.fault("rate_limit.burst", "needs rate_limit.per_second")),
    }
}

/// Returns a count. The catalogue bounds it far below 2^32.
fn small_count(resolved: &Resolved, key: &'static str) -> u32 {
    u32::try_from(resolved.number(key)).unwrap_or(u32::MAX)
}
