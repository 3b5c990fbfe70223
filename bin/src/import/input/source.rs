//! Opens a file: counts the bytes that are read, unpacks gzip and zstd, and recognises the format.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::csv_header::CsvOptions;
use super::{file_kind, zstd};
use crate::cli::InputFormat;

/// Size of the read buffer: large, so that system calls are few.
const BUFFER_BYTES: usize = 128 * 1024;

/// First two bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How many first bytes reveal a file's compression.
const MAGIC_BYTES: usize = 4;

/// Byte order mark in UTF-8.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// How the files of an import are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The format of the files; without it, content and name decide.
    pub(crate) format: Option<InputFormat>,
    /// The dialect of CSV.
    pub(crate) csv: CsvOptions,
    /// Whether to keep the text of each record.
    pub(crate) keep_input: bool,
    /// The bytes that were read so far, before unpacking.
    pub(crate) bytes_read: Arc<AtomicU64>,
}

/// A file, open at the first byte after white space and byte order marks.
pub(super) struct Opened {
    pub(super) reader: Box<dyn BufRead>,
    pub(super) format: InputFormat,
    /// The line of the first byte.
    pub(super) line: u64,
}

/// Says whether a path means standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Opens a file.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if is_standard_input(path) { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}

/// The reason why a file is not read at all.
pub(super) enum Unrecognised {
    /// The file can't be read.
    Unreadable(io::Error),
    /// The file is of another kind than files of records.
    Foreign(&'static str),
}

impl From<io::Error> for Unrecognised {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Unpacks a file of this name, and recognises its format.
pub(super) fn recognise(raw: Box<dyn Read>, path: &Path, reading: &Reading) -> Result<Opened, Unrecognised> {
    let counted = Counted { reader: raw, bytes: Arc::clone(&reading.bytes_read) };
    let mut reader = unpack(Box::new(BufReader::with_capacity(BUFFER_BYTES, counted)))?;
    // `--format` overrides the recognition of other kinds.
    if reading.format.is_none() {
        let head = peek(&mut reader, file_kind::HEAD_BYTES)?;
        file_kind::foreign(&head).map_or(Ok(()), |what| Err(Unrecognised::Foreign(what)))?;
    }
    let mut line = 1;
    let mut first = skip_white_space(&mut reader, &mut line)?;
    // A byte order mark after white space is skipped, too: `cat` joins files so.
    while peek(&mut reader, BOM.len())? == BOM {
        // `consume` would take no more than the read-ahead buffer holds, which may be only a part of the mark.
        reader.read_exact(&mut [0; BOM.len()])?;
        first = skip_white_space(&mut reader, &mut line)?;
    }
    let format = reading.format.unwrap_or_else(|| guess(path, first));
    Ok(Opened { reader, format, line })
}

fn unpack(mut reader: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let head = peek(&mut reader, MAGIC_BYTES)?;
    let unpacked: Box<dyn Read> = if head.starts_with(&GZIP_MAGIC) {
        Box::new(MultiGzDecoder::new(reader))
    } else if zstd::is_zstd(&head) {
        Box::new(zstd::Unpacked::new(reader))
    } else {
        return Ok(reader);
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked)))
}

/// Guesses the format of a file. CSV may begin with a bracket only if the name says `.csv`.
fn guess(path: &Path, first: Option<u8>) -> InputFormat {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let packed = [".gz", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending));
    let name = packed.unwrap_or(&name);
    match first {
        _ if name.ends_with(".csv") => InputFormat::Csv,
        Some(b'[') => InputFormat::Json,
        Some(b'{') | None => InputFormat::Ndjson,
        Some(_) if [".ndjson", ".jsonl", ".json"].iter().any(|end| name.ends_with(end)) => InputFormat::Ndjson,
        Some(_) => InputFormat::Csv,
    }
}

/// Returns the next bytes of a reader without consuming them; fewer only at its end. If the buffer holds fewer, more
/// are read and put back in front of the rest.
fn peek(reader: &mut Box<dyn BufRead>, bytes: usize) -> io::Result<Vec<u8>> {
    let buffer = reader.fill_buf()?;
    if buffer.len() >= bytes || buffer.is_empty() {
        return Ok(buffer[..buffer.len().min(bytes)].to_vec());
    }
    let mut head = Vec::new();
    reader.by_ref().take(bytes as u64).read_to_end(&mut head)?;
    let rest = std::mem::replace(reader, Box::new(io::empty()));
    *reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(head.clone()).chain(rest)));
    Ok(head)
}

fn skip_white_space(reader: &mut Box<dyn BufRead>, line: &mut u64) -> io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(None);
        }
        let blank = buffer.iter().take_while(|b| b.is_ascii_whitespace()).count();
        *line += buffer[..blank].iter().filter(|b| **b == b'\n').count() as u64;
        let first = buffer.get(blank).copied();
        reader.consume(blank);
        if first.is_some() {
            return Ok(first);
        }
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
