//! Runs a command.

mod config;
mod dead_letters;
mod health;
mod keys;
mod man;
mod watch;

use std::process::ExitCode;

use anyhow::Context as _;
use tallyhouse_pipeline::audit;
use tokio::runtime::Runtime;

use crate::cli::{Cli, Command, ConfigCommand, command};
use crate::database::{Database, Schema};
use crate::output::Output;
use crate::settings::{Environment, Settings};
use crate::telemetry::logging;
use crate::{aggregate, export, import, service};

/// Runs a command.
///
/// # Errors
/// The command failed. The error tells the remedy in one line.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let overrides = cli.settings.overrides();
    let command = match cli.command.unwrap_or(Command::Serve) {
        Command::Completions { shell } => return completions(shell),
        Command::Keys(command) => return keys::run(command),
        Command::Config { command: Some(ConfigCommand::Init) } => return config::init(),
        Command::Man { folder } => return man::run(folder.as_deref()),
        other => other,
    };
    let environment = Environment::of_process()?;
    let settings = Settings::load(&overrides, &environment)?;
    logging::start(&settings.log)?;
    let runtime = runtime(&settings)?;
    let done = runtime.block_on(async {
        match command {
            Command::Serve => service::serve(settings).await,
            Command::Import(args) => import::run(args, &settings, &environment).await,
            Command::Aggregate(args) => aggregate::run(args, &settings, &environment).await,
            Command::Export(args) => export::run(args, &settings, &environment).await,
            Command::Watch(args) => watch::run(args, &settings, &environment).await,
            Command::DeadLetters(command) => dead_letters::run(command, &settings).await,
            Command::Migrate => migrate(&settings).await,
            Command::Config { command: None | Some(ConfigCommand::Init) } => config::show(&settings),
            Command::Config { command: Some(ConfigCommand::Check) } => config::check(&settings).await,
            Command::Health(args) => health::run(args, &settings, &environment).await,
            Command::Verify => verify(&settings).await,
            Command::Completions { .. } | Command::Keys(_) | Command::Man { .. } => {
                unreachable!("these commands need no settings and returned above")
            }
        }
    });
    // A blocked read of a terminal or a pipe must not keep the process alive.
    runtime.shutdown_background();
    done
}

fn runtime(settings: &Settings) -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if settings.worker_threads > 0 {
        builder.worker_threads(settings.worker_threads);
    }
    builder.enable_all().build().context("the runtime can't be started")
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "tallyhouse", &mut script);
    answer(script)
}

async fn migrate(settings: &Settings) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, Schema::Migrate).await?;
    let done = match database.migrated() {
        [] => format!("{} is up to date\n", settings.database),
        versions => format!("{} was migrated: {}\n", settings.database, versions.join(", ")),
    };
    answer(done)
}

async fn verify(settings: &Settings) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, Schema::Check).await?;
    let report = audit(&*database.store).await.context("the database could not be read completely")?;
    let mut out = Output::standard();
    out.line(format!(
        "records {}  keys {}  records in the outbox {}",
        report.records, report.keys, report.backlog_records
    ))?;
    for finding in &report.findings {
        out.line(format!("wrong: {finding}"))?;
    }
    let unlisted = report.findings_count - report.findings.len() as u64;
    if unlisted > 0 {
        out.line(format!("wrong: {unlisted} more"))?;
    }
    if report.findings_count == 0 {
        out.line("all is well")?;
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(report.findings_count > 0)))
}

fn answer(text: impl AsRef<[u8]>) -> anyhow::Result<ExitCode> {
    let mut out = Output::standard();
    out.write(text)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
