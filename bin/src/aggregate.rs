//! `aggregate`: totals by destination, from the configured database or over HTTP, as a table, JSON or CSV.

mod response;
mod view;
mod table;
mod csv;
mod local;
mod over_http;

use std::process::ExitCode;

use tallyhouse_pipeline::GroupQuery;

use crate::cli::{AggregateArgs, OutputFormat};
use crate::output::Output;
use crate::remote::Remote;
use crate::settings::{Environment, Settings};
use csv::Csv;
use table::Table;
use view::View;

/// Answers the query.
///
/// # Errors
/// The database or the service can't answer.
pub(crate) async fn run(
    args: AggregateArgs,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let mut out = Output::standard();
    match (Remote::of(&args.remote, environment)?, args.format) {
        (Some(remote), OutputFormat::Json) => over_http::copy_json(&remote, &args, &mut out).await?,
        (None, OutputFormat::Json) => local::write_json(settings, query(&args), &mut out).await?,
        (Some(remote), OutputFormat::Table | OutputFormat::Csv) => {
            over_http::read_groups(&remote, &args, &mut *view(&args, &mut out)).await?;
        }
        (None, OutputFormat::Table | OutputFormat::Csv) => {
            local::read_groups(settings, query(&args), &mut *view(&args, &mut out)).await?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn view<'a>(args: &AggregateArgs, out: &'a mut Output) -> Box<dyn View + 'a> {
    match args.format {
        OutputFormat::Csv => Box::new(Csv::new(out, args.shows_records())),
        OutputFormat::Table | OutputFormat::Json => Box::new(Table::new(out, args.shows_records())),
    }
}

fn query(args: &AggregateArgs) -> GroupQuery {
    let limit = args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    GroupQuery { filter: args.filter.filter(), after: None, limit, records: args.shows_records() }
}

#[cfg(test)]
mod tests;
