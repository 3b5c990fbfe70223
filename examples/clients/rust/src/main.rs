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
    let mut numbers = Vec::with_capacity(Client::CHUNK);
    let mut records = records(path)?.peekable();
    while let Some((number, record)) = records.next().transpose()? {
        chunk.push(record);
        numbers.push(number);
        if chunk.len() < Client::CHUNK && records.peek().is_some() {
            continue;
        }
        let answer = client.load(&chunk)?;
        for refused in &answer.refused {
            let id = chunk.get(refused.index).map_or("", |record| record.record_id.as_str());
            let number = numbers.get(refused.index).copied().unwrap_or_default();
            eprintln!("{path}:{number}: {} {id} {}", refused.outcome, refused.error.detail);
        }
        counts.add(&answer.counts);
        chunk.clear();
        numbers.clear();
    }
    let Counts { processed, duplicates, conflicts, rejected } = counts;
    println!("processed {processed}  duplicates {duplicates}  conflicts {conflicts}  rejected {rejected}");
    Ok(ExitCode::from(u8::from(conflicts + rejected > 0)))
}

fn write(client: &Client, path: &str) -> Result<ExitCode> {
    for record in records(path)? {
        let (number, record) = record?;
        let written = client.write(&record).with_context(|| format!("{path}:{number}"))?;
        println!("{} {}", written.outcome, record.record_id);
    }
    Ok(ExitCode::SUCCESS)
}

fn totals(client: &Client, destination: &str) -> Result<ExitCode> {
    let groups = client.groups(&[("destinationId", destination)])?;
    if groups.is_empty() {
        eprintln!("tallyhouse-client: {destination} has no records");
    }
    for group in groups {
        for total in &group.totals {
            println!("{} {} {} {}", group.destination_id, total.unit, total.count, total.net);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a file of NDJSON, line by line: each record with the number of its line.
fn records(path: &str) -> Result<impl Iterator<Item = Result<(usize, Record)>>> {
    let mut file = BufReader::new(File::open(path).with_context(|| path.to_owned())?);
    let packed = file.fill_buf().with_context(|| path.to_owned())?.starts_with(&[0x1f, 0x8b]);
    anyhow::ensure!(!packed, "{path} is packed with gzip: unpack it first, with gunzip");
    let is_blank = |line: &std::io::Result<String>| line.as_ref().is_ok_and(|line| line.trim().is_empty());
    let lines = (1..).zip(file.lines()).filter(move |(_, line)| !is_blank(line));
    Ok(lines.map(move |(number, line)| {
        let record = line.map_err(anyhow::Error::new).and_then(|line| Ok(serde_json::from_str(&line)?));
        Ok((number, record.with_context(|| format!("{path}:{number}"))?))
    }))
}
