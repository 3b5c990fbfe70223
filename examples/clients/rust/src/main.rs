//! Sends records to Tallyhouse and reads totals from it:
//!
//! ```text
//! tallyhouse-client http://127.0.0.1:8080 load tests/data/flights-sample.ndjson
//! tallyhouse-client http://127.0.0.1:8080 totals IAH
//! ```
//!
//! A number at the end sets the most attempts of a call. A key is taken from `TALLYHOUSE_KEY`. Copy `client.rs` into
//! your program.

mod client;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use client::{Client, Counts, Record, TRIES};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("tallyhouse-client: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (url, command, subject, tries) = match arguments[..] {
        [url, command, subject] => (url, command, subject, TRIES),
        [url, command, subject, tries] => (url, command, subject, tries.parse().context("TRIES is a number")?),
        _ => bail!("usage: tallyhouse-client URL load FILE | write FILE | totals DESTINATION [TRIES]"),
    };
    #[allow(clippy::disallowed_methods, reason = "a program of its own has no settings but this")]
    let key = std::env::var("TALLYHOUSE_KEY").ok();
    let client = Client::new(url, key, tries)?;
    match command {
        "load" => load(&client, subject),
        "write" => write(&client, subject),
        "totals" => totals(&client, subject),
        _ => bail!("there is no command {command}"),
    }
}

fn load(client: &Client, path: &str) -> Result<ExitCode> {
    let mut counts = Counts::default();
    let mut chunk = Vec::with_capacity(Client::CHUNK);
    let mut records = records(path)?.peekable();
    while let Some(record) = records.next().transpose()? {
        chunk.push(record);
        if chunk.len() < Client::CHUNK && records.peek().is_some() {
            continue;
        }
        let answer = client.load(&chunk)?;
        for refused in &answer.refused {
            let id = chunk.get(refused.index).map_or("", |record| record.record_id.as_str());
            eprintln!("{} {id} {}", refused.outcome, refused.error.detail);
        }
        counts.add(&answer.counts);
        chunk.clear();
    }
    let Counts { processed, duplicates, conflicts, rejected } = counts;
    println!("processed {processed}  duplicates {duplicates}  conflicts {conflicts}  rejected {rejected}");
    Ok(ExitCode::from(u8::from(conflicts + rejected > 0)))
}

fn write(client: &Client, path: &str) -> Result<ExitCode> {
    for record in records(path)? {
        let record = record?;
        println!("{} {}", client.write(&record)?.outcome, record.record_id);
    }
    Ok(ExitCode::SUCCESS)
}

fn totals(client: &Client, destination: &str) -> Result<ExitCode> {
    for group in client.groups(&[("destinationId", destination)])? {
        for total in &group.totals {
            println!("{} {} {} {}", group.destination_id, total.unit, total.count, total.net);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a file of NDJSON, line by line.
fn records(path: &str) -> Result<impl Iterator<Item = Result<Record>>> {
    let file = BufReader::new(File::open(path).with_context(|| path.to_owned())?);
    let is_blank = |line: &std::io::Result<String>| line.as_ref().is_ok_and(|line| line.trim().is_empty());
    Ok(file.lines().filter(move |line| !is_blank(line)).map(|line| Ok(serde_json::from_str(&line?)?)))
}
