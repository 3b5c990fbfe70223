//! The settings: defaults, then the settings file, then the environment, then flags.
//!
//! `catalogue` is the one place where every setting stands with its kind, its default and what it is for. The rest
//! reads the layers, refuses what it does not know, and turns texts into what the program works with.

mod catalogue;
mod layers;
mod resolved;
mod secret;
mod database;
mod alerts;
mod adapters;
mod otlp;
mod print;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tallyhouse_http::HttpSettings;
use tallyhouse_pipeline::{MessageFormat, PipelineSettings, RetryPolicy, RuleSet};
use tallyhouse_postgres::PostgresSettings;
use tallyhouse_redis::RedisSettings;
use tallyhouse_sqlite::SqliteSettings;

pub(crate) use database::DatabaseUrl;
pub(crate) use secret::{Secret, mask};

use layers::Layers;
use resolved::Resolved;

/// The settings file that is read from the working directory if it is there.
const FILE_DEFAULT: &str = "tallyhouse.toml";

/// The environment variables for commands with `--url`: an API key, and the authorities to trust. They are no settings.
const KEY_VARIABLE: &str = "TALLYHOUSE_KEY";
const CA_FILE_VARIABLE: &str = "TALLYHOUSE_CA_FILE";

/// A setting is wrong: the text says which one, where it came from, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SettingsError(pub(crate) String);

/// What the command line says about settings.
#[derive(Clone, Default)]
pub(crate) struct Overrides {
    /// The settings file to read; it must be there.
    pub(crate) file: Option<PathBuf>,
    /// Settings by name, with the flag that gave each.
    pub(crate) values: Vec<(&'static str, &'static str, String)>,
}

impl fmt::Debug for Overrides {
    /// Leaves out the values: passwords may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.values.iter().map(|(key, _, _)| key).collect();
        f.debug_struct("Overrides").field("file", &self.file).field("values", &keys).finish()
    }
}

/// The variables of the environment that concern the program.
#[derive(Clone, Default)]
pub(crate) struct Environment(pub(crate) Vec<(String, String)>);

impl fmt::Debug for Environment {
    /// Leaves out the values: passwords and keys are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Environment {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// A variable that concerns the program is not UTF-8.
    pub(crate) fn of_process() -> Result<Self, SettingsError> {
        let ours = std::env::vars_os()
            .filter(|(name, value)| layers::concerns_us(&name.to_string_lossy(), &value.to_string_lossy()));
        let texts = ours.map(|(name, value)| {
            let name = name.to_string_lossy().into_owned();
            let value =
                value.into_string().map_err(|_| SettingsError(format!("the environment variable {name} is not UTF-8")));
            Ok((name, value?))
        });
        texts.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the API key for commands with `--url`.
    pub(crate) fn key(&self) -> Option<Secret> {
        self.value(KEY_VARIABLE).map(Secret::new)
    }

    /// Returns the file with the authorities that commands with `--url` trust.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        self.value(CA_FILE_VARIABLE).map(PathBuf::from)
    }

    fn value(&self, variable: &str) -> Option<&str> {
        let value = self.0.iter().find(|(name, value)| name == variable && !value.is_empty());
        value.map(|(_, value)| value.as_str())
    }
}

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where to listen: host and port.
    pub(crate) listen: String,
    /// Where records are kept.
    pub(crate) database: DatabaseUrl,
    /// How SQLite is used; the path is that of the URL.
    pub(crate) sqlite: SqliteSettings,
    /// How Postgres is used; the URL is that of the database.
    pub(crate) postgres: PostgresSettings,
    /// How the server listens, waits and bounds.
    pub(crate) http: HttpSettings,
    /// The settings file, whether or not it exists.
    pub(crate) file: PathBuf,
    /// The files to serve HTTPS with, where that is asked for.
    pub(crate) tls: Option<TlsFiles>,
    /// The queues and channels, where there are any.
    pub(crate) redis: Option<RedisSettings>,
    /// How many consumers each queue has.
    pub(crate) redis_consumers: usize,
    /// The alert rules in force.
    pub(crate) rules: RuleSet,
    /// How messages are written.
    pub(crate) messages: MessageFormat,
    /// The file with the API keys, where there are keys.
    pub(crate) keys_file: Option<PathBuf>,
    /// Whether to serve whoever can connect.
    pub(crate) anonymous: bool,
    /// How to write the log.
    pub(crate) log: LogSettings,
    /// Where traces go, where they go anywhere.
    pub(crate) otlp: Option<OtlpSettings>,
    /// How the pipeline batches, waits and bounds; `writers` is 0 where the database decides.
    pub(crate) pipeline: PipelineSettings,
    /// How often followers look for messages of other instances.
    pub(crate) poll_interval: Duration,
    /// How long a stop may take.
    pub(crate) stop_deadline: Duration,
    /// How many threads run the service; 0 is one for each processor.
    pub(crate) worker_threads: usize,
    /// All of them as they were given, for `config`.
    resolved: Resolved,
}

/// The files that HTTPS is served with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub(crate) cert_file: PathBuf,
    /// Its key.
    pub(crate) key_file: PathBuf,
}

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Whether as JSON; `None` is text on a terminal and JSON elsewhere.
    pub(crate) json: Option<bool>,
    /// Which events: directives of `tracing-subscriber`.
    pub(crate) filter: String,
    /// Whether each request has a line, whatever the filter says.
    pub(crate) requests: bool,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OtlpSettings {
    /// Where a collector takes them.
    pub(crate) endpoint: Secret,
    /// What the service is called there.
    pub(crate) service_name: String,
    /// Which share of the requests that belong to no trace begins one: from 0 to 1.
    pub(crate) sampled_share: f64,
    /// How long the collector may take.
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// Says which setting is wrong, where it came from, and what would be right.
    pub(crate) fn load(overrides: &Overrides, environment: &Environment) -> Result<Self, SettingsError> {
        let resolved = Layers::read(overrides, environment)?.resolve()?;
        Ok(Self {
            listen: resolved.text("listen"),
            database: DatabaseUrl::of(&resolved)?,
            sqlite: adapters::sqlite(&resolved),
            postgres: adapters::postgres(&resolved),
            http: adapters::http(&resolved)?,
            file: overrides.file.clone().unwrap_or_else(|| PathBuf::from(FILE_DEFAULT)),
            tls: adapters::tls(&resolved)?,
            redis: adapters::redis(&resolved),
            redis_consumers: resolved.count("redis.consumers"),
            rules: alerts::rules(&resolved)?,
            messages: messages(&resolved)?,
            keys_file: resolved.optional("auth.keys_file").map(PathBuf::from),
            anonymous: resolved.flag("auth.anonymous"),
            log: log(&resolved),
            otlp: otlp::otlp(&resolved)?,
            pipeline: pipeline(&resolved),
            poll_interval: resolved.millis("feed.poll_interval_ms"),
            stop_deadline: resolved.millis("stop.deadline_ms"),
            worker_threads: resolved.count("runtime.worker_threads"),
            resolved,
        })
    }

    /// Writes the settings in force as a settings file, secrets masked.
    pub(crate) fn to_toml(&self) -> String {
        print::to_toml(&self.resolved)
    }
}

fn messages(resolved: &Resolved) -> Result<MessageFormat, SettingsError> {
    let source = |key| {
        let source = resolved.text(key);
        // CloudEvents 1.0: a URI-reference that is not empty.
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(c);
        if source.is_empty() || source.contains(forbidden) {
            return Err(resolved.fault(key, "must be a URI, such as urn:tallyhouse:records"));
        }
        Ok(source)
    };
    Ok(MessageFormat {
        records_source: source("messages.records_source")?,
        alerts_source: source("messages.alerts_source")?,
    })
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
    }
}

#[cfg(test)]
mod tests;
