//! The command line: commands, flags and their help texts.

mod command;
mod filters;

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, TypedValueParser as _};
use clap::{Args, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tallyhouse_http::Scope;
use tallyhouse_pipeline::Field;

pub(crate) use command::command;
pub(crate) use filters::FilterArgs;

use crate::settings::{Overrides, Secret};

/// Processes records exactly once, notifies, alerts, and answers with exact totals.
#[derive(Debug, Parser)]
#[command(name = "tallyhouse", version = env!("LONG_VERSION"), max_term_width = 100)]
#[command(
    after_help = "Without a command, tallyhouse serves. Every setting can also be given in tallyhouse.toml or as a \
                        variable TALLYHOUSE_…: `tallyhouse config` shows them all."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Cli {
    /// Parses the command line of this process. A wrong one, or a call for help, ends the process.
    pub(crate) fn parsed() -> Self {
        Self::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// Settings that can be given as flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// Settings file; without it tallyhouse.toml is read, if it is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on; by default 127.0.0.1:8080
    #[arg(long, global = true, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Database: sqlite://FILE, sqlite::memory: or postgres://…; by default sqlite://tallyhouse.db
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<Secret>,
    /// Redis, for queues, published messages and dead letters, e.g. redis://127.0.0.1; by default none
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<Secret>,
    /// Which events are logged, e.g. debug or info,tallyhouse_pipeline=debug
    #[arg(long, global = true, value_name = "DIRECTIVES")]
    log_filter: Option<String>,
    /// How the log is written: text or json; by default text on a terminal, else json
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl SettingsArgs {
    /// Returns the settings that were given as flags.
    pub(crate) fn overrides(&self) -> Overrides {
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let flags = [
            ("listen", "--listen", self.listen.clone()),
            ("database.url", "--database-url", secret(&self.database_url)),
            ("redis.url", "--redis-url", secret(&self.redis_url)),
            ("log.filter", "--log-filter", self.log_filter.clone()),
            ("log.format", "--log-format", self.log_format.clone()),
        ];
        let values = flags.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value?)));
        Overrides { file: self.config.clone(), values: values.collect() }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the service (also without a command)
    ///
    /// Migrates the database to the current schema, listens, consumes the queues if redis.url is set, and publishes
    /// messages. SIGTERM, SIGINT (Ctrl-C) or SIGHUP stops it gracefully; a second signal ends it at once.
    Serve,
    /// Imports files of records, into the database or over HTTP
    ///
    /// Takes NDJSON, a JSON array of records, or CSV with the eight field names in its first line; each may be packed
    /// with gzip or zstd. CSV follows RFC 4180: a row that is quoted wrongly is refused, and reading ends where it can't be
    /// known which lines are rows.
    ///
    /// Importing the same file again changes nothing: records that were processed before count as duplicates. Exits
    /// with 1 if any record was refused.
    Import(ImportArgs),
    /// Shows totals by destination, or the records behind them
    Aggregate(AggregateArgs),
    /// Exports records, from the database or over HTTP
    ///
    /// Writes one snapshot of all matching records, in the order in which they were processed. Another database can
    /// import it; complete destinations get the same totals and sequences there.
    Export(ExportArgs),
    /// Follows messages: one CloudEvent per line, in JSON
    Watch(WatchArgs),
    /// Lists, replays or removes dead letters: refused queue payloads
    ///
    /// They are in Redis: redis.url must be set.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Migrates the database to the current schema (serve and import do so by themselves)
    Migrate,
    /// Shows the effective settings as a settings file, secrets masked; or checks them; or prints a template
    Config {
        #[command(subcommand)]
        command: Option<ConfigCommand>,
    },
    /// Exits with 0 if the service is ready, else with 1
    ///
    /// Calls /readyz at the configured address, or at --url, and prints the answer. While Redis is away the service is ready,
    /// and the answer says degraded. Without an answer within 2.5 seconds, it is not ready.
    // The call needs no key. The flag stays valid: scripts may give it to every command with --url.
    #[command(mut_arg("key", |key| key.hide(true)))]
    #[command(mut_arg("url", |url| url.help("Call the service at this address instead of the configured one, e.g. http://127.0.0.1:8080")))]
    Health(RemoteArgs),
    /// Checks counts, sums, sequences and the outbox of the database; exits with 1 if anything is wrong
    Verify,
    /// Creates API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Writes manual pages
    ///
    /// Writes one page for the program and one for each command into an existing folder. Without a folder, writes the
    /// program's page to standard output.
    Man {
        /// The folder, e.g. /usr/local/share/man/man1
        folder: Option<PathBuf>,
    },
    /// Writes a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The commands for settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks the settings and the files that they name; exits with 2 if anything is wrong
    Check,
    /// Prints a settings file with all defaults, commented out
    Init,
}

/// The service that a command calls instead of using the configured database.
#[derive(Debug, Args)]
#[command(next_help_heading = "Over HTTP")]
pub(crate) struct RemoteArgs {
    /// Call the service at this address instead of using the database, e.g. http://127.0.0.1:8080
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// API key; safer in the variable TALLYHOUSE_KEY, because other users can see a command line
    #[arg(long, requires = "url", value_parser = NonEmptyStringValueParser::new().map(Secret::from))]
    pub(crate) key: Option<Secret>,
    /// PEM file with the certificate authorities to trust instead of the public ones; also TALLYHOUSE_CA_FILE
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files to import; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What the files are; without it the content decides, and the name
    #[arg(long, value_enum)]
    pub(crate) format: Option<InputFormat>,
    /// Separates the fields of CSV: one punctuation character, or tab
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: u8,
    /// Read a field of the records from the column of this name in CSV, e.g. recordId=id; can be repeated
    #[arg(long = "column", value_name = "FIELD=COLUMN", value_parser = column)]
    pub(crate) columns: Vec<(Field, String)>,
    /// Read and check the files, count what is valid and what is rejected, and store nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep every refused record in this new file, as NDJSON with its file, line, input and reason; a file that holds
    /// something already is refused
    #[arg(long, value_name = "FILE")]
    pub(crate) errors: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

fn delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if *byte == b'\t' || (byte.is_ascii_punctuation() && *byte != b'"') => Ok(*byte),
        _ => Err("must be one punctuation character other than a quote, such as ; or |, or the word tab"),
    }
}

fn column(text: &str) -> Result<(Field, String), String> {
    let (field, column) = text.split_once('=').ok_or("must be FIELD=COLUMN, e.g. recordId=id")?;
    let names = || Field::ALL.map(Field::name).join(", ");
    let field =
        Field::named(field).ok_or_else(|| format!("{field} is no field of a record; these are: {}", names()))?;
    if column.trim().is_empty() {
        Err("the name of the column is missing".to_owned())
    } else {
        Ok((field, column.trim().to_owned()))
    }
}

/// What a file of records is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// One record a line
    Ndjson,
    /// An array of records
    Json,
    /// A first line of names, then one record a row
    Csv,
}

/// What to sum up, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct AggregateArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Show at most so many destinations; all without it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Whether to show the records behind the totals; without it, json shows them, as the HTTP API does, and the others
    /// do not
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    records: Option<bool>,
    /// How to show it
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: OutputFormat,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

impl AggregateArgs {
    /// Says whether the records behind the totals are shown.
    pub(crate) fn shows_records(&self) -> bool {
        self.records.unwrap_or(self.format == OutputFormat::Json)
    }
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    Table,
    /// The document that the HTTP API answers
    Json,
    /// Comma-separated, with a first line of names
    Csv,
}

/// What to export, and how.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// How to write it; without it the name of the output decides, else it is ndjson
    #[arg(long, value_enum)]
    pub(crate) format: Option<ExportFormat>,
    /// Where to write it: a file that is there only when it is whole, or - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Pack it; a name that ends in .gz does so, too
    #[arg(long)]
    pub(crate) gzip: bool,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// How exported records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One record a line, in JSON
    Ndjson,
    /// A first line of names, then one record a row
    Csv,
}

/// The messages to follow.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Topic to follow
    #[arg(value_enum)]
    pub(crate) topic: TopicName,
    /// Begin after this position; 0 begins with the first message. Without it, only new messages are shown
    #[arg(long, value_name = "POSITION")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// The topics by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopicName {
    /// One message for every processed record
    Notifications,
    /// One message for every alert rule that a record met
    Alerts,
}

/// The commands for dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Lists dead letters, oldest first, one JSON object per line
    List {
        /// List at most so many dead letters; all without it
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Processes payloads again and removes those that succeed
    Replay(DeadLettersChoice),
    /// Removes dead letters for good, without processing them
    Purge(DeadLettersChoice),
}

/// The selected dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DeadLettersChoice {
    /// Ids of dead letters
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All dead letters
    #[arg(long)]
    pub(crate) all: bool,
}

/// The commands for API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Prints a new key, once, and its lines for the keys file, or adds these to it
    New(NewKeyArgs),
}

/// The key to create.
#[derive(Debug, Args)]
pub(crate) struct NewKeyArgs {
    /// Name of the caller; keys of one name share their rate limit
    #[arg(long)]
    pub(crate) name: String,
    /// Scopes of the key, separated by commas
    #[arg(long, value_enum, required = true, value_delimiter = ',', value_name = "SCOPES")]
    pub(crate) scope: Vec<ScopeName>,
    /// Let the key write only records whose sourceId begins so; its only scope is ingest then
    #[arg(long, value_name = "PREFIX")]
    pub(crate) source_prefix: Option<String>,
    /// Let the key write only records whose destinationId begins so; its only scope is ingest then
    #[arg(long, value_name = "PREFIX")]
    pub(crate) destination_prefix: Option<String>,
    /// Add the key to this keys file, which is created if it does not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) append: Option<PathBuf>,
}

/// The scopes by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeName {
    /// Writing records
    Ingest,
    /// Reading everything but dead letters and alert rules
    Read,
    /// Dead letters and alert rules
    Admin,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Ingest => Self::Ingest,
            ScopeName::Read => Self::Read,
            ScopeName::Admin => Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests;
