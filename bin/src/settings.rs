//! The settings: defaults, then the settings file, then the environment, then flags.
//!
//! `catalogue` is the one list of all settings with kind, default and purpose. `layers` reads the sources and refuses
//! unknown names, `resolved` checks the values, and the other modules convert them for each part of the program.

mod catalogue;
mod environment;
mod library_files;
mod layers;
mod resolved;
mod secret;
mod database;
mod alerts;
mod adapters;
mod otlp;
mod print;
mod template;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tallyhouse_http::HttpSettings;
use tallyhouse_pipeline::{MessageFormat, PipelineSettings, RetryPolicy, RuleSet};
use tallyhouse_postgres::PostgresSettings;
use tallyhouse_redis::RedisSettings;
use tallyhouse_sqlite::SqliteSettings;

pub(crate) use database::DatabaseUrl;
pub(crate) use environment::Environment;
pub(crate) use secret::{Secret, mask};
pub(crate) use template::template;

use layers::Layers;
use resolved::Resolved;

/// The settings file that is read from the working directory if it is there.
const FILE_DEFAULT: &str = "tallyhouse.toml";

/// A setting is wrong. The text names it, its origin, and a right value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SettingsError(pub(crate) String);

/// The faults of the settings, gathered so that one error names them all.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    /// Returns the value of a success, and keeps the fault of a failure.
    pub(crate) fn keep<T>(&mut self, result: Result<T, SettingsError>) -> Option<T> {
        result.map_err(|SettingsError(fault)| self.0.push(fault)).ok()
    }

    /// Returns the error that names all faults; `None` if there are none.
    pub(crate) fn error(self) -> Option<SettingsError> {
        match &*self.0 {
            [] => None,
            [fault] => Some(SettingsError(fault.clone())),
            faults => {
                let numbered = (1..).zip(faults).map(|(number, fault)| format!("({number}) {fault}"));
                let numbered = numbered.collect::<Vec<_>>().join("; ");
                Some(SettingsError(format!("{} settings are wrong: {numbered}", faults.len())))
            }
        }
    }
}

/// The settings of the command line.
#[derive(Clone, Default)]
pub(crate) struct Overrides {
    /// The settings file to read. It must exist.
    pub(crate) file: Option<PathBuf>,
    /// Name, flag and value of each setting.
    pub(crate) values: Vec<(&'static str, &'static str, String)>,
}

impl fmt::Debug for Overrides {
    /// Leaves out the values: passwords may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.values.iter().map(|(key, _, _)| key).collect();
        f.debug_struct("Overrides").field("file", &self.file).field("values", &keys).finish()
    }
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The address to listen on: host and port.
    pub(crate) listen: String,
    /// The database of the records.
    pub(crate) database: DatabaseUrl,
    /// The settings of SQLite. The path is set when the database is opened.
    pub(crate) sqlite: SqliteSettings,
    /// The settings of Postgres.
    pub(crate) postgres: PostgresSettings,
    /// The limits and timeouts of the HTTP server.
    pub(crate) http: HttpSettings,
    /// The proxies in front.
    pub(crate) proxies: Vec<IpNet>,
    /// The settings file, whether or not it exists.
    pub(crate) file: PathBuf,
    /// The files of HTTPS; `None` serves HTTP.
    pub(crate) tls: Option<TlsFiles>,
    /// The settings of Redis; `None` without Redis.
    pub(crate) redis: Option<RedisSettings>,
    /// The number of consumers of each queue.
    pub(crate) redis_consumers: usize,
    /// The alert rules of the settings.
    pub(crate) rules: RuleSet,
    /// The format of messages.
    pub(crate) messages: MessageFormat,
    /// The file of the API keys; `None` without keys.
    pub(crate) keys_file: Option<PathBuf>,
    /// The hosts that callers without keys may name, beside `localhost` and addresses.
    pub(crate) hosts: Vec<String>,
    /// Whether to listen beyond loopback without keys.
    pub(crate) anonymous: bool,
    /// The settings of the log.
    pub(crate) log: LogSettings,
    /// The collector of traces; `None` exports none.
    pub(crate) otlp: Option<OtlpSettings>,
    /// The limits and timeouts of the pipeline; 0 `writers` means the default of the database.
    pub(crate) pipeline: PipelineSettings,
    /// How often subscribers poll for messages of other instances.
    pub(crate) poll_interval: Duration,
    /// How long a stop may take.
    pub(crate) stop_deadline: Duration,
    /// The number of worker threads; 0 means one per processor.
    pub(crate) worker_threads: usize,
    /// All values with their origins, for `config`.
    resolved: Resolved,
}

/// The files of HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate chain.
    pub(crate) cert_file: PathBuf,
    /// The private key.
    pub(crate) key_file: PathBuf,
}

/// The settings of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Whether lines are JSON; `None` means text on a terminal and JSON elsewhere.
    pub(crate) json: Option<bool>,
    /// The directives of `tracing-subscriber`'s filter.
    pub(crate) filter: String,
    /// Whether each request has a line, regardless of the filter.
    pub(crate) requests: bool,
}

/// The settings of traces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OtlpSettings {
    /// The URL of the collector.
    pub(crate) endpoint: Secret,
    /// The name of the service in traces.
    pub(crate) service_name: String,
    /// The share of requests without a trace context that begin a trace, from 0 to 1.
    pub(crate) sampled_share: f64,
    /// The deadline of an export.
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// Settings are unknown or wrong. The error names each of them, its origin, and a right value.
    pub(crate) fn load(overrides: &Overrides, environment: &Environment) -> Result<Self, SettingsError> {
        let mut faults = Faults::default();
        let resolved = Layers::read(overrides, environment, &mut faults)?.resolve(&mut faults)?;
        let database = faults.keep(DatabaseUrl::of(&resolved));
        let rate_limit = faults.keep(adapters::rate_limit(&resolved));
        let proxies = faults.keep(adapters::proxies(&resolved));
        let tls = faults.keep(adapters::tls(&resolved));
        let redis = faults.keep(adapters::redis(&resolved));
        let rules = alerts::rules(&resolved, &mut faults);
        let messages = messages(&resolved, &mut faults);
        let hosts = faults.keep(hosts(&resolved));
        let otlp = faults.keep(otlp::otlp(&resolved));
        if let Some(error) = faults.error() {
            return Err(error);
        }
        let (Some(database), Some(rate_limit), Some(proxies), Some(tls), Some(redis)) =
            (database, rate_limit, proxies, tls, redis)
        else {
            unreachable!("what is missing has left a fault")
        };
        let (Some(rules), Some(messages), Some(hosts), Some(otlp)) = (rules, messages, hosts, otlp) else {
            unreachable!("what is missing has left a fault")
        };
        Ok(Self {
            listen: resolved.text("listen"),
            sqlite: adapters::sqlite(&resolved),
            postgres: adapters::postgres(&resolved),
            http: adapters::http(&resolved, &database, rate_limit),
            database,
            proxies,
            file: overrides.file.clone().unwrap_or_else(|| PathBuf::from(FILE_DEFAULT)),
            tls,
            redis,
            redis_consumers: resolved.count("redis.consumers"),
            rules,
            messages,
            keys_file: resolved.optional("auth.keys_file").map(PathBuf::from),
            hosts,
            anonymous: resolved.flag("auth.anonymous"),
            log: log(&resolved),
            otlp,
            pipeline: pipeline(&resolved),
            poll_interval: resolved.millis("feed.poll_interval_ms"),
            stop_deadline: resolved.millis("stop.deadline_ms"),
            worker_threads: resolved.count("runtime.worker_threads"),
            resolved,
        })
    }

    /// Formats the effective settings as a settings file, secrets masked.
    pub(crate) fn to_toml(&self) -> String {
        print::to_toml(&self.resolved)
    }
}

fn messages(resolved: &Resolved, faults: &mut Faults) -> Option<MessageFormat> {
    let source = |key| {
        let source = resolved.text(key);
        // CloudEvents 1.0: `source` is a non-empty URI-reference.
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(c);
        if source.is_empty() || source.contains(forbidden) {
            return Err(resolved.fault(key, "must be a URI, such as urn:tallyhouse:records"));
        }
        Ok(source)
    };
    let records_source = faults.keep(source("messages.records_source"));
    let alerts_source = faults.keep(source("messages.alerts_source"));
    Some(MessageFormat { records_source: records_source?, alerts_source: alerts_source? })
}

/// Returns the host names of a list.
fn hosts(resolved: &Resolved) -> Result<Vec<String>, SettingsError> {
    let list = resolved.optional("auth.hosts").unwrap_or_default();
    if list.contains([':', '/']) {
        return Err(resolved.fault("auth.hosts", "must be host names without a port, parted by commas"));
    }
    Ok(list.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect())
}

fn log(resolved: &Resolved) -> LogSettings {
    let json = match resolved.optional("log.format").as_deref() {
        Some("json") => Some(true),
        Some(_) => Some(false),
        None => None,
    };
    LogSettings { json, filter: resolved.text("log.filter"), requests: resolved.flag("log.requests") }
}

fn pipeline(resolved: &Resolved) -> PipelineSettings {
    PipelineSettings {
        writers: resolved.count("pipeline.writers"),
        batch_records_max: resolved.count("pipeline.batch_records_max"),
        join_records_min: resolved.count("pipeline.join_records_min"),
        intake_records_max: resolved.count("pipeline.intake_records_max"),
        intake_bytes_max: resolved.count("pipeline.intake_bytes_max"),
        commit_retry_timeout: resolved.millis("pipeline.commit_retry_timeout_ms"),
        retry: RetryPolicy {
            wait_min: resolved.millis("pipeline.retry_wait_min_ms"),
            wait_max: resolved.millis("pipeline.retry_wait_max_ms"),
        },
        open_after: resolved.millis("pipeline.open_after_ms"),
        ping_after: resolved.millis("pipeline.ping_after_ms"),
        ping_timeout: resolved.millis("pipeline.ping_timeout_ms"),
        lease: resolved.millis("pipeline.lease_ms"),
        mark_published_delay: resolved.millis("pipeline.mark_published_delay_ms"),
        relay_batches_max: resolved.count("pipeline.relay_batches_max"),
        relay_bytes_max: resolved.count("pipeline.relay_bytes_max"),
    }
}

#[cfg(test)]
mod tests;
