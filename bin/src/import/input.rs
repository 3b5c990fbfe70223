//! Reads files of records, of any size in bounded memory: recognises their format, unpacks them, and checks each
//! record.

mod stop;
mod source;
mod file_kind;
mod zstd;
mod lines;
mod elements;
mod csv;
mod csv_header;
mod lenient;
mod rows;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tallyhouse_pipeline::{Draft, PAYLOAD_BYTES_MAX, Record, Rejection};

pub(crate) use csv_header::CsvOptions;
pub(crate) use source::{Reading, is_standard_input};

use crate::cli::InputFormat;
use elements::Elements;
use lines::Lines;
use rows::Rows;
use source::Opened;
use stop::Stop;

/// Most records of a chunk: a chunk is a batch, so that reading and committing overlap with few hand-overs.
const CHUNK_RECORDS: usize = 1_000;
/// Most bytes of input in a chunk, about: chunks of long records have fewer records.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Some records of one file, in its order.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The file, as it was named.
    pub(crate) file: Arc<str>,
    /// The records and the refused inputs.
    pub(crate) items: Vec<Item>,
}

/// One input of a file: a record, or the reason why it is none.
#[derive(Debug)]
pub(crate) struct Item {
    /// The line on which the input begins, counted from 1.
    pub(crate) line: u64,
    /// The text as it came, if `Reading::keep_input` is set.
    pub(crate) input: Option<Box<str>>,
    /// The record, or the reason why it is none.
    pub(crate) record: Result<Record, Rejection>,
}

/// Why reading ended before the end of a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The records are no longer wanted: the commit failed, or a signal came.
    #[error("reading was cancelled")]
    Cancelled,
    /// The file can't be opened.
    #[error("{0} can't be opened: {1}")]
    Open(String, std::io::Error),
    /// The file is of another kind than files of records.
    #[error("{0} is {1}")]
    Foreign(String, &'static str),
    /// The file can't be read further.
    #[error("{file}:{line}: {fault}")]
    Fault {
        /// The file.
        file: String,
        /// The line where it went wrong.
        line: u64,
        /// The fault.
        fault: String,
    },
}

/// Reads a file to its end, and hands its records over in chunks; `take` returns whether it wants more.
///
/// # Errors
/// The file can't be read to its end. The chunks that were handed over are good.
pub(crate) fn read_file(path: &Path, reading: &Reading, take: &mut dyn FnMut(Chunk) -> bool) -> Result<(), ReadError> {
    let raw = source::open(path).map_err(|error| ReadError::Open(name_of(path).to_string(), error))?;
    read(raw, path, reading, take)
}

/// Reads the content of a file of this name, as [`read_file`] does.
///
/// # Errors
/// As [`read_file`].
pub(crate) fn read(
    raw: Box<dyn Read>,
    path: &Path,
    reading: &Reading,
    take: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), ReadError> {
    let file = name_of(path);
    let opened = source::recognise(raw, path, reading).map_err(|refused| match refused {
        source::Unrecognised::Unreadable(error) => ReadError::Open(file.to_string(), error),
        source::Unrecognised::Foreign(what) => ReadError::Foreign(file.to_string(), what),
    })?;
    let mut chunks = Chunks { file, keep_input: reading.keep_input, items: Vec::new(), bytes: 0, take };
    let ended = match opened.format {
        InputFormat::Ndjson => read_lines(opened, &mut chunks),
        InputFormat::Json => read_elements(opened, &mut chunks),
        InputFormat::Csv => read_rows(opened, &reading.csv, &mut chunks),
    };
    match ended {
        Ok(()) => chunks.send_chunk(),
        Err(Stop::Cancelled) => Err(ReadError::Cancelled),
        Err(Stop::Fault(line, fault)) => {
            // The records before the fault are good.
            chunks.send_chunk()?;
            Err(ReadError::Fault { file: chunks.file.to_string(), line, fault })
        }
    }
}

/// Returns the name of a file in messages.
fn name_of(path: &Path) -> Arc<str> {
    if is_standard_input(path) { Arc::from("standard input") } else { path.to_string_lossy().into() }
}

fn read_lines(opened: Opened, chunks: &mut Chunks<'_>) -> Result<(), Stop> {
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

fn read_elements(opened: Opened, chunks: &mut Chunks<'_>) -> Result<(), Stop> {
    let mut elements = Elements::new(opened.reader, opened.line, PAYLOAD_BYTES_MAX);
    while let Some(element) = elements.next()? {
        match element.text {
            Some(json) => chunks.push(element.line, json, Record::from_json(json))?,
            None => chunks.push(element.line, &[], Err(Rejection::too_large(PAYLOAD_BYTES_MAX)))?,
        }
    }
    Ok(())
}

fn read_rows(opened: Opened, options: &CsvOptions, chunks: &mut Chunks<'_>) -> Result<(), Stop> {
    let Some(mut rows) = Rows::begin(opened.reader, opened.line, options)? else { return Ok(()) };
    while let Some(row) = rows.next()? {
        chunks.push(row.line, row.raw, row.fields.and_then(check))?;
    }
    Ok(())
}

/// Checks eight texts in the order of `Field::ALL`, after normalising them to the API's spelling.
fn check(fields: [&str; 8]) -> Result<Record, Rejection> {
    let [record_id, time, source_id, destination_id, record_type, value, unit, reference] = fields;
    let (time, value) = (lenient::time(time), lenient::value(value));
    Draft { record_id, time: &time, source_id, destination_id, record_type, value: &value, unit, reference }.check()
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
    fn push(&mut self, line: u64, input: &[u8], record: Result<Record, Rejection>) -> Result<(), Stop> {
        self.bytes += input.len();
        let input = self.keep_input.then(|| String::from_utf8_lossy(input).into());
        self.items.push(Item { line, input, record });
        if self.items.len() >= CHUNK_RECORDS || self.bytes >= CHUNK_BYTES {
            return self.send_chunk().map_err(|_| Stop::Cancelled);
        }
        Ok(())
    }

    fn send_chunk(&mut self) -> Result<(), ReadError> {
        self.bytes = 0;
        if self.items.is_empty() {
            return Ok(());
        }
        let items = std::mem::replace(&mut self.items, Vec::with_capacity(CHUNK_RECORDS));
        let wanted = (self.take)(Chunk { file: Arc::clone(&self.file), items });
        if wanted { Ok(()) } else { Err(ReadError::Cancelled) }
    }
}

#[cfg(test)]
mod tests;
