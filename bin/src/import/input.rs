//! Files of records: what they are, and how they become records, in bounded memory whatever their size.

mod source;
mod lines;
mod elements;
mod rows;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tallyhouse_pipeline::{Draft, PAYLOAD_BYTES_MAX, Record, Rejection};

use crate::cli::InputFormat;
use elements::Elements;
use lines::Lines;
use rows::Rows;
use source::Opened;

/// How many records are handed over together: as many as are committed together, so that reading and committing overlap
/// with few hand-overs.
const CHUNK_RECORDS: usize = 1_000;
/// How many bytes of input a chunk has at most, about: long records are handed over in smaller chunks.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Some records of one file, in its order.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The file, as it was named.
    pub(crate) file: Arc<str>,
    /// What was read.
    pub(crate) items: Vec<Item>,
}

/// What stands in one place of a file: a record, or what is none.
#[derive(Debug)]
pub(crate) struct Item {
    /// Where it begins, counted from 1.
    pub(crate) line: u64,
    /// As it came, where that is kept.
    pub(crate) input: Option<Box<str>>,
    /// The record, or why it is none.
    pub(crate) record: Result<Record, Rejection>,
}

/// What is the same for all files of an import.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// What the files are; without it, content and name decide.
    pub(crate) format: Option<InputFormat>,
    /// Whether to keep what each record was read from.
    pub(crate) keep_input: bool,
    /// How many bytes have been read from the files, compressed as they are.
    pub(crate) bytes_read: Arc<AtomicU64>,
}

/// Why reading ended before the end of a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Nobody takes the records any more.
    #[error("reading was given up")]
    CommitFailure,
    /// The file can't be opened.
    #[error("{0} can't be opened: {1}")]
    Open(String, std::io::Error),
    /// The file can't be read further.
    #[error("{file}:{line}: {fault}")]
    Fault {
        /// The file.
        file: String,
        /// The line where it went wrong.
        line: u64,
        /// What is wrong.
        fault: String,
    },
}

/// Reads a file to its end, and hands its records over in chunks; `take` says whether it wants more.
///
/// # Errors
/// What was handed over before stays right.
pub(crate) fn read_file(path: &Path, reading: &Reading, take: &mut dyn FnMut(Chunk) -> bool) -> Result<(), ReadError> {
    let raw = source::open(path).map_err(|error| ReadError::Open(name_of(path).to_string(), error))?;
    read(raw, path, reading, take)
}

/// Reads what a file of this name holds, as [`read_file`] does.
pub(crate) fn read(
    raw: Box<dyn Read>,
    path: &Path,
    reading: &Reading,
    take: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), ReadError> {
    let file = name_of(path);
    let opened = source::recognise(raw, path, reading).map_err(|error| ReadError::Open(file.to_string(), error))?;
    let mut chunks = Chunks { file, keep_input: reading.keep_input, items: Vec::new(), bytes: 0, take };
    let ended = match opened.format {
        InputFormat::Ndjson => read_lines(opened, &mut chunks),
        InputFormat::Json => read_elements(opened, &mut chunks),
        InputFormat::Csv => read_rows(opened, &mut chunks),
    };
    match ended {
        Ok(()) => chunks.hand_over(),
        Err(Ended::CommitFailure) => Err(ReadError::CommitFailure),
        Err(Ended::At(line, fault)) => {
            // What was read before the fault is good.
            chunks.hand_over()?;
            Err(ReadError::Fault { file: chunks.file.to_string(), line, fault })
        }
    }
}

/// Returns what a file is called in front of people.
fn name_of(path: &Path) -> Arc<str> {
    if is_standard_input(path) { Arc::from("standard input") } else { path.to_string_lossy().into() }
}

/// Says whether a path means standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Why a reader of one format ended early.
#[derive(Debug)]
enum Ended {
    CommitFailure,
    At(u64, String),
}

fn read_lines(opened: Opened, chunks: &mut Chunks<'_>) -> Result<(), Ended> {
    let mut lines = Lines::new(opened.reader, opened.line, PAYLOAD_BYTES_MAX);
    while let Some(line) = lines.next()? {
        let Some(json) = line.text else {
            chunks.push(line.number, &[], Err(Rejection::too_large(PAYLOAD_BYTES_MAX)))?;
            continue;
        };
        if !json.trim_ascii().is_empty() {
            chunks.push(line.number, json.trim_ascii_end(), Record::from_json(json))?;
        }
    }
    Ok(())
}

fn read_elements(opened: Opened, chunks: &mut Chunks<'_>) -> Result<(), Ended> {
    let mut elements = Elements::new(opened.reader, opened.line, PAYLOAD_BYTES_MAX);
    while let Some(element) = elements.next()? {
        match element.text {
            Some(json) => chunks.push(element.line, json, Record::from_json(json))?,
            None => chunks.push(element.line, &[], Err(Rejection::too_large(PAYLOAD_BYTES_MAX)))?,
        }
    }
    Ok(())
}

fn read_rows(opened: Opened, chunks: &mut Chunks<'_>) -> Result<(), Ended> {
    let Some(mut rows) = Rows::begin(opened.reader, opened.line)? else { return Ok(()) };
    while let Some(row) = rows.next()? {
        let record = row.fields().and_then(|fields| draft(fields).check());
        let input = if chunks.keep_input { row.as_written() } else { Vec::new() };
        chunks.push(row.line, &input, record)?;
    }
    Ok(())
}

/// Takes eight texts in the order of the fields of a record.
fn draft(fields: [&str; 8]) -> Draft<'_> {
    let [record_id, time, source_id, destination_id, record_type, value, unit, reference] = fields;
    Draft { record_id, time, source_id, destination_id, record_type, value, unit, reference }
}

/// Gathers items into chunks.
struct Chunks<'a> {
    file: Arc<str>,
    keep_input: bool,
    items: Vec<Item>,
    bytes: usize,
    take: &'a mut dyn FnMut(Chunk) -> bool,
}

impl Chunks<'_> {
    fn push(&mut self, line: u64, input: &[u8], record: Result<Record, Rejection>) -> Result<(), Ended> {
        self.bytes += input.len();
        let input = self.keep_input.then(|| String::from_utf8_lossy(input).into());
        self.items.push(Item { line, input, record });
        if self.items.len() >= CHUNK_RECORDS || self.bytes >= CHUNK_BYTES {
            return self.hand_over().map_err(|_| Ended::CommitFailure);
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), ReadError> {
        self.bytes = 0;
        if self.items.is_empty() {
            return Ok(());
        }
        let items = std::mem::replace(&mut self.items, Vec::with_capacity(CHUNK_RECORDS));
        let wanted = (self.take)(Chunk { file: Arc::clone(&self.file), items });
        if wanted { Ok(()) } else { Err(ReadError::CommitFailure) }
    }
}

#[cfg(test)]
mod tests;
