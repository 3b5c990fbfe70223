//! Opens a file: counts what is read of it, unpacks it if it is packed, and finds out what it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::{Reading, is_standard_input};
use crate::cli::InputFormat;

/// Large enough that reading is few system calls.
const BUFFER_BYTES: usize = 128 * 1024;

/// First two bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Byte order mark in UTF-8.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A file that is open at the first byte that is neither white space nor of a byte order mark.
pub(super) struct Opened {
    pub(super) reader: Box<dyn BufRead>,
    pub(super) format: InputFormat,
    /// The line of that byte.
    pub(super) line: u64,
}

/// Opens a file.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if is_standard_input(path) { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}

/// Finds out what a file of this name holds.
pub(super) fn recognise(raw: Box<dyn Read>, path: &Path, reading: &Reading) -> io::Result<Opened> {
    let counted = Counted { reader: raw, bytes: Arc::clone(&reading.bytes_read) };
    let mut reader: Box<dyn BufRead> = Box::new(BufReader::with_capacity(BUFFER_BYTES, counted));
    if starts_with(&mut reader, &GZIP_MAGIC)? {
        reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)));
    }
    let mut line = 1;
    let mut first = skip_white_space(&mut reader, &mut line)?;
    // Also behind white space: the CSV reader takes a mark that comes alone for the end of the file.
    while starts_with(&mut reader, &BOM)? {
        // What is read ahead may hold less of it than there is, and `consume` takes no more than that.
        reader.read_exact(&mut [0; BOM.len()])?;
        first = skip_white_space(&mut reader, &mut line)?;
    }
    let format = reading.format.unwrap_or_else(|| guess(path, first));
    Ok(Opened { reader, format, line })
}

/// Says what a file is: no CSV of ours begins with a bracket, unless its name says so.
fn guess(path: &Path, first: Option<u8>) -> InputFormat {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match first {
        _ if name.ends_with(".csv") => InputFormat::Csv,
        Some(b'[') => InputFormat::Json,
        Some(b'{') | None => InputFormat::Ndjson,
        Some(_) if [".ndjson", ".jsonl", ".json"].iter().any(|end| name.ends_with(end)) => InputFormat::Ndjson,
        Some(_) => InputFormat::Csv,
    }
}

/// Looks whether what a reader gives next begins with some bytes. A buffer may hold fewer than there are: then it is
/// filled by hand.
fn starts_with(reader: &mut Box<dyn BufRead>, magic: &[u8]) -> io::Result<bool> {
    let buffer = reader.fill_buf()?;
    if buffer.len() >= magic.len() || buffer.is_empty() || !magic.starts_with(buffer) {
        return Ok(buffer.starts_with(magic));
    }
    let mut head = Vec::new();
    reader.by_ref().take(magic.len() as u64).read_to_end(&mut head)?;
    let found = head == magic;
    let rest = std::mem::replace(reader, Box::new(io::empty()));
    *reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(head).chain(rest)));
    Ok(found)
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

/// Counts what is read.
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
