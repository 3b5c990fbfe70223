//! An import over HTTP: requests of some thousand lines of NDJSON, one after the other. A broken connection leaves the
//! outcomes of one request unknown, and no more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tallyhouse_pipeline::{Field, FieldError, Outcome, OutcomeCounts, RecordId, Rejection, RejectionCode};

use super::chunks::Chunks;
use super::input::{Chunk, Item};
use super::report::Tally;
use crate::remote::{Remote, Retries, is_lasting, retry_after};

/// Most records of a request, about.
const REQUEST_RECORDS: usize = 10_000;
/// Most bytes of a request, about.
const REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// Sends all chunks.
///
/// # Errors
/// The service refuses, or the connection breaks.
pub(super) async fn send_all(remote: &Remote, chunks: &mut Chunks, tally: &mut Tally) -> anyhow::Result<()> {
    let mut request = Request::default();
    while let Some(chunk) = chunks.next().await {
        request.add(chunk, tally)?;
        if request.items.len() >= REQUEST_RECORDS || request.body.len() >= REQUEST_BYTES {
            std::mem::take(&mut request).send(remote, tally).await?;
        }
    }
    // After a signal the records that were read are not sent: importing them again is safe.
    if chunks.interrupted || request.items.is_empty() { Ok(()) } else { request.send(remote, tally).await }
}

/// Records that are sent together.
#[derive(Default)]
struct Request {
    body: Vec<u8>,
    items: Vec<SubmittedItem>,
}

/// A record that was sent, with its line in its file.
struct SubmittedItem {
    file: Arc<str>,
    line: u64,
    input: Option<Box<str>>,
}

/// A line of the response: a failed record, or at the end the counts.
#[derive(Deserialize)]
struct Answer<'a> {
    index: Option<usize>,
    outcome: Option<&'a str>,
    #[serde(rename = "recordId")]
    record_id: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    processed: Option<u64>,
    duplicates: Option<u64>,
    conflicts: Option<u64>,
    rejected: Option<u64>,
}

/// The used parts of a problem document (RFC 9457).
#[derive(Default, Deserialize)]
struct Problem {
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
    #[serde(default)]
    differs: Vec<String>,
}

#[derive(Deserialize)]
struct Fault {
    pointer: String,
    detail: String,
}

impl Request {
    /// Adds the valid records of a chunk. Invalid ones are refused locally, by the same rules as the service's.
    fn add(&mut self, chunk: Chunk, tally: &mut Tally) -> anyhow::Result<()> {
        let Chunk { file, items } = chunk;
        for Item { line, input, record } in items {
            match record {
                Ok(record) => {
                    serde_json::to_writer(&mut self.body, &record)?;
                    self.body.push(b'\n');
                    self.items.push(SubmittedItem { file: Arc::clone(&file), line, input });
                }
                Err(rejection) => {
                    let outcome = Outcome::Rejected(rejection);
                    tally.counts.count(&outcome);
                    tally.refusals.keep(&tally.progress, &file, line, input.as_deref(), &outcome)?;
                }
            }
        }
        Ok(())
    }

    async fn send(self, remote: &Remote, tally: &mut Tally) -> anyhow::Result<()> {
        let range = match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) => format!("{}:{} to {}:{}", first.file, first.line, last.file, last.line),
            (_, _) => return Ok(()),
        };
        let sent = self.exchange(remote, tally).await;
        sent.map_err(|error| {
            let safe = "what is counted above is, and importing everything again is safe";
            match error.downcast::<Unsent>() {
                Ok(Unsent(error)) => error.context(format!("the records {range} were not stored; {safe}")),
                Err(error) => {
                    error.context(format!("of the records {range} it is not known which were stored; {safe}"))
                }
            }
        })?;
        tally.progress.show(&tally.counts);
        Ok(())
    }

    async fn exchange(self, remote: &Remote, tally: &mut Tally) -> anyhow::Result<()> {
        let Self { body, items } = self;
        let answer = send_with_retries(remote, body).await?;
        let mut lines = answer.split(|b| *b == b'\n').filter(|line| !line.is_empty()).peekable();
        let mut counts = None;
        let mut refusals = Vec::new();
        while let Some(line) = lines.next() {
            let line: Answer<'_> = serde_json::from_slice(line).context("the service's answer is not understood")?;
            if lines.peek().is_none() {
                counts = line.counts();
            } else {
                refusals.push(line.refusal(&items)?);
            }
        }
        // Without its last line the response is incomplete, and its outcomes are not counted.
        let counts = counts.ok_or_else(|| anyhow!("the service's answer has no end"))?;
        let of_all = [counts.processed, counts.duplicates, counts.conflicts, counts.rejected];
        let answered = of_all.into_iter().try_fold(0_u64, u64::checked_add);
        ensure!(
            answered == u64::try_from(items.len()).ok() && u64::try_from(refusals.len()).ok() == Some(counts.refused()),
            "the service's answer does not count the records that were sent"
        );
        for (item, outcome) in refusals {
            tally.refusals.keep(&tally.progress, &item.file, item.line, item.input.as_deref(), &outcome)?;
        }
        let sum = &mut tally.counts;
        sum.processed += counts.processed;
        sum.duplicates += counts.duplicates;
        sum.conflicts += counts.conflicts;
        sum.rejected += counts.rejected;
        Ok(())
    }
}

impl Answer<'_> {
    fn counts(&self) -> Option<OutcomeCounts> {
        Some(OutcomeCounts {
            processed: self.processed?,
            duplicates: self.duplicates?,
            conflicts: self.conflicts?,
            rejected: self.rejected?,
        })
    }

    /// Returns the refused record, with the reason.
    fn refusal<'p>(&self, items: &'p [SubmittedItem]) -> anyhow::Result<(&'p SubmittedItem, Outcome)> {
        let item =
            self.index.and_then(|index| items.get(index)).context("the service names a record that was not sent")?;
        let problem: Problem =
            self.error.map(|error| serde_json::from_str(error.get())).transpose()?.unwrap_or_default();
        let record_id = self.record_id.as_deref().and_then(|id| RecordId::new(id).ok());
        let outcome = match (self.outcome, record_id) {
            (Some("conflict"), Some(record_id)) => Outcome::Conflict {
                record_id,
                differs: problem.differs.iter().filter_map(|name| Field::named(name)).collect(),
            },
            (Some(_), record_id) => {
                let faults = problem.errors.into_iter();
                let mut errors: Vec<FieldError> =
                    faults.map(|Fault { pointer, detail }| FieldError { pointer, detail }).collect();
                if errors.is_empty() {
                    errors.push(FieldError { pointer: String::new(), detail: problem.detail.unwrap_or_default() });
                }
                Outcome::Rejected(Rejection { record_id, code: RejectionCode::Rejected, errors })
            }
            (None, _) => bail!("the service gives no outcome for {}:{}", item.file, item.line),
        };
        Ok((item, outcome))
    }
}

/// A failure before the service has read any record of the request.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Unsent(anyhow::Error);

/// A failed attempt to send a request.
struct Failure {
    error: anyhow::Error,
    retry_after: Option<Duration>,
    is_final: bool,
    /// Whether the service may have stored some of the records.
    may_have_stored: bool,
}

/// Sends a request until the service answers it whole. Records that an attempt without a whole answer has stored are
/// duplicates in the next one.
async fn send_with_retries(remote: &Remote, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut retries = Retries::new();
    let mut may_have_stored = false;
    loop {
        let request = remote.post("v1/records/batch", &[("results", "failed".to_owned())])?;
        let request = request.header(CONTENT_TYPE, "application/x-ndjson").body(body.clone());
        let failure = match send(remote, request).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        may_have_stored |= failure.may_have_stored;
        let wait = if failure.is_final { None } else { retries.next(failure.retry_after) };
        let Some(wait) = wait else {
            return Err(if may_have_stored { failure.error } else { Unsent(failure.error).into() });
        };
        tracing::warn!(error = format!("{:#}", failure.error), "a request is sent again");
        tokio::time::sleep(wait).await;
    }
}

/// Sends a request, and reads the answer to its end.
async fn send(remote: &Remote, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
    let broken = |error, is_final, may_have_stored| Failure { error, retry_after: None, is_final, may_have_stored };
    let mut response = request.send().await.map_err(|error| {
        let (is_final, may_have_stored) = (is_lasting(&error), !error.is_connect());
        broken(remote.unreachable(error), is_final, may_have_stored)
    })?;
    let status = response.status();
    if !status.is_success() {
        let retry_after = retry_after(&response);
        let is_final = !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        // Other refusals come before the body is read.
        let may_have_stored = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
        return Err(Failure { error: remote.refusal(response).await, retry_after, is_final, may_have_stored });
    }
    let mut answer = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| broken(remote.interrupted(error), false, true))? {
        answer.extend_from_slice(&part);
    }
    Ok(answer)
}
