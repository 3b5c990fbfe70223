//! `dead-letters`: lists, replays and removes refused queue payloads.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tallyhouse_pipeline::ports::{DeadLetter, DeadLetters};
use tallyhouse_pipeline::{Outcome, PAYLOAD_BYTES_MAX, Pipeline, PipelineParts, PipelineSettings, Record, Rejection};
use tallyhouse_redis::RedisDeadLetters;
use tokio::task::JoinSet;

use crate::cli::{DeadLettersChoice, DeadLettersCommand};
use crate::database::{Database, Schema};
use crate::output::{Output, printable};
use crate::service::queues::open_client;
use crate::settings::{Settings, SettingsError};
use tallyhouse_pipeline::TokioClock;

/// Dead letters per read.
const PAGE: usize = 100;

/// Exit code when a dead letter was refused again or did not exist.
const EXIT_LEFT: u8 = 1;

/// Runs a command for dead letters.
///
/// # Errors
/// Redis or the database can't be used.
pub(crate) async fn run(command: DeadLettersCommand, settings: &Settings) -> anyhow::Result<ExitCode> {
    let redis = settings.redis.clone().ok_or_else(|| {
        SettingsError("dead letters are kept in Redis: set redis.url (TALLYHOUSE_REDIS__URL, --redis-url)".to_owned())
    })?;
    let letters = RedisDeadLetters::new(&open_client(redis)?);
    let mut out = Output::standard();
    let code = match command {
        DeadLettersCommand::List { limit } => list(&letters, limit, &mut out).await?,
        DeadLettersCommand::Replay(choice) => replay(&letters, &choice, settings, &mut out).await?,
        DeadLettersCommand::Purge(choice) => purge(&letters, &choice, &mut out).await?,
    };
    out.flush()?;
    Ok(code)
}

async fn list(letters: &dyn DeadLetters, limit: Option<usize>, out: &mut Output) -> anyhow::Result<ExitCode> {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut after = None;
    while left > 0 {
        let page = page(letters, after.take(), left.min(PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        left -= page.len();
        for letter in &page {
            out.line(to_json(letter)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Formats a dead letter as `GET /v1/dead-letters` does: a payload that is not UTF-8 is in Base64. Characters that a
/// terminal would obey are escaped.
fn to_json(letter: &DeadLetter) -> anyhow::Result<String> {
    let payload = match std::str::from_utf8(&letter.payload) {
        Ok(text) => ("payload", text.to_owned()),
        Err(_not_text) => ("payloadBase64", STANDARD.encode(&letter.payload)),
    };
    let fields = [
        ("id", letter.id.as_str()),
        (payload.0, &payload.1),
        ("reason", &letter.reason),
        ("detail", &letter.detail),
        ("origin", &letter.origin),
        ("at", &letter.at),
    ];
    let members: Result<Vec<String>, serde_json::Error> = fields
        .into_iter()
        .map(|(name, value)| Ok(format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(value)?)))
        .collect();
    let json = format!("{{{}}}", members?.join(","));
    Ok(printable(&json).into_owned())
}

async fn replay(
    letters: &dyn DeadLetters,
    choice: &DeadLettersChoice,
    settings: &Settings,
    out: &mut Output,
) -> anyhow::Result<ExitCode> {
    let database = Database::open(settings, Schema::Migrate).await?;
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: database.store.clone(),
        clock: Arc::new(TokioClock::start()),
        rules: settings.rules.clone(),
        publisher: None,
        settings: PipelineSettings { writers: 1, ..settings.pipeline },
    });
    let mut tasks = JoinSet::new();
    driver.into_tasks().into_iter().for_each(|task| {
        tasks.spawn(task);
    });
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut selected = Selected::new(letters, choice);
    while let Some((id, letter)) = selected.next().await? {
        let result = match letter {
            None => "not found",
            Some(letter) => replay_one(letters, &pipeline, &letter, out).await?,
        };
        *counts.entry(result).or_default() += 1;
        if result == "not found" {
            out.line(format!("{id}: not found"))?;
        }
    }
    pipeline.close();
    while tasks.join_next().await.is_some() {}
    let summary: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    out.line(if summary.is_empty() { "nothing to replay".to_owned() } else { summary.join("  ") })?;
    let left = counts.keys().any(|what| !matches!(*what, "processed" | "duplicate"));
    Ok(ExitCode::from(if left { EXIT_LEFT } else { 0 }))
}

/// Processes one payload again, and removes it if its record is processed, now or earlier.
async fn replay_one(
    letters: &dyn DeadLetters,
    pipeline: &Pipeline,
    letter: &DeadLetter,
    out: &mut Output,
) -> anyhow::Result<&'static str> {
    // The queues' size limit holds for replays, too.
    let parsed = if letter.payload.len() > PAYLOAD_BYTES_MAX {
        Err(Rejection::too_large(PAYLOAD_BYTES_MAX))
    } else {
        Record::from_json(&letter.payload)
    };
    let outcome = match parsed {
        Ok(record) => pipeline.process(record).await?,
        Err(rejection) => Outcome::Rejected(rejection),
    };
    match &outcome {
        Outcome::Processed(_) | Outcome::Duplicate { .. } => {
            letters
                .remove(&letter.id)
                .await
                .context("the record was processed, but its dead letter was not removed; replay again")?;
        }
        Outcome::Conflict { differs, .. } => {
            let names: Vec<&str> = differs.iter().map(|field| field.name()).collect();
            out.line(format!("{}: conflict: {}", letter.id, names.join(", ")))?;
        }
        Outcome::Rejected(rejection) => {
            out.line(format!("{}: rejected: {}", letter.id, printable(&rejection.detail())))?
        }
    }
    Ok(outcome.name())
}

async fn purge(letters: &dyn DeadLetters, choice: &DeadLettersChoice, out: &mut Output) -> anyhow::Result<ExitCode> {
    let (mut removed, mut missing) = (0_u64, 0_u64);
    let mut selected = Selected::new(letters, choice);
    while let Some((id, _)) = selected.next().await? {
        if letters.remove(&id).await.context("Redis can't remove a dead letter")? {
            removed += 1;
        } else {
            missing += 1;
            out.line(format!("{id}: not found"))?;
        }
    }
    out.line(format!("removed {removed}"))?;
    Ok(ExitCode::from(if missing > 0 { EXIT_LEFT } else { 0 }))
}

/// An iterator over the selected dead letters.
struct Selected<'a> {
    letters: &'a dyn DeadLetters,
    ids: std::vec::IntoIter<String>,
    all: bool,
    page: std::vec::IntoIter<DeadLetter>,
    after: Option<String>,
}

impl<'a> Selected<'a> {
    fn new(letters: &'a dyn DeadLetters, choice: &DeadLettersChoice) -> Self {
        let ids = choice.ids.clone().into_iter();
        Self { letters, ids, all: choice.all, page: Vec::new().into_iter(), after: None }
    }

    async fn next(&mut self) -> anyhow::Result<Option<(String, Option<DeadLetter>)>> {
        if !self.all {
            let Some(id) = self.ids.next() else { return Ok(None) };
            let letter = self.letters.find(&id).await.context("Redis can't answer")?;
            return Ok(Some((id, letter)));
        }
        if self.page.len() == 0 {
            let page = page(self.letters, self.after.take(), PAGE).await?;
            self.after = page.last().map(|letter| letter.id.clone());
            self.page = page.into_iter();
        }
        Ok(self.page.next().map(|letter| (letter.id.clone(), Some(letter))))
    }
}

async fn page(letters: &dyn DeadLetters, after: Option<String>, limit: usize) -> anyhow::Result<Vec<DeadLetter>> {
    letters.list(after, limit).await.context("Redis can't answer")
}
