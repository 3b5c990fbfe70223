//! The aggregate of a service over HTTP.

use anyhow::Context as _;
use reqwest::Response;
use reqwest::header::ACCEPT;
use serde::Deserialize;

use super::response::{Group, Record};
use super::view::View;
use crate::cli::AggregateArgs;
use crate::output::Output;
use crate::remote::Remote;

/// Copies the JSON document part by part.
///
/// # Errors
/// The service can't answer, or breaks off.
pub(super) async fn copy_json(remote: &Remote, args: &AggregateArgs, out: &mut Output) -> anyhow::Result<()> {
    let mut response = ask(remote, args, "application/json").await?;
    while let Some(part) = response.chunk().await.map_err(|error| remote.interrupted(error))? {
        out.write(part)?;
    }
    out.write("\n")
}

/// Shows the aggregate group by group.
///
/// # Errors
/// The service can't answer, or breaks off.
pub(super) async fn read_groups(remote: &Remote, args: &AggregateArgs, view: &mut dyn View) -> anyhow::Result<()> {
    let mut response = ask(remote, args, "application/x-ndjson").await?;
    let mut line = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| remote.interrupted(error))? {
        for piece in part.split_inclusive(|b| *b == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") {
                show(&line, view)?;
                line.clear();
            }
        }
    }
    view.end()
}

/// A group with its records, in a line.
#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    group: Group,
    #[serde(default)]
    records: Vec<Record>,
}

fn show(line: &[u8], view: &mut dyn View) -> anyhow::Result<()> {
    let line: Line = serde_json::from_slice(line).context("the service's answer is not understood")?;
    view.group(line.group)?;
    line.records.into_iter().try_for_each(|record| view.record(record))
}

async fn ask(remote: &Remote, args: &AggregateArgs, accept: &str) -> anyhow::Result<Response> {
    let mut parameters = args.filter.parameters();
    parameters.push(("records", args.shows_records().to_string()));
    parameters.extend(args.limit.map(|limit| ("limit", limit.to_string())));
    remote.send(remote.get("v1/aggregates", &parameters)?.header(ACCEPT, accept)).await
}
