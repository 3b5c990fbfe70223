//! Rows of CSV, read strictly by RFC 4180.
//!
//! The `csv` crate and `csv-core` accept any bytes: text after a closing quote joins the field, and a quote that is
//! never closed swallows the rest of the file. Neither has a strict mode, and a lost row has no trace in what they
//! return. This reader reports each break of the grammar instead. It goes on at the next line where that is certainly
//! the next row, and ends otherwise.

use std::fmt;
use std::io::BufRead;
use std::ops::RangeInclusive;

use memchr::{memchr, memchr2};
use tallyhouse_pipeline::{PAYLOAD_BYTES_MAX, Rejection};

use super::stop::Stop;

/// Longest row in bytes, as it is written. It bounds memory, and leaves room for a record whose quotes are all doubled.
const ROW_BYTES_MAX: usize = PAYLOAD_BYTES_MAX * 2;

/// Reads rows.
pub(super) struct CsvReader {
    reader: Box<dyn BufRead>,
    delimiter: u8,
    /// The number of the line that is read next.
    line: u64,
    /// The current row as it is written, its end included.
    raw: Vec<u8>,
    /// The fields of the current row without their quotes, one after the other.
    text: Vec<u8>,
    /// The end of each field in `text`.
    ends: Vec<usize>,
}

/// A row that was read: its fields are in the reader.
#[derive(Debug)]
pub(super) struct ReadRow {
    /// The line where it begins.
    pub(super) line: u64,
    /// Why it is refused, if it is.
    pub(super) read: Result<(), Rejection>,
}

/// A break of the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    TextAfterQuote { backslash: bool },
    BlankBeforeQuote,
    QuoteInside,
    CarriageReturn,
    NotClosed,
    NoEnd,
}

/// Why a row can't be split into fields.
enum Broken {
    /// The file can't be read further.
    Stop(Stop),
    /// A field breaks the grammar.
    Field {
        /// The line where the field begins.
        line: u64,
        /// The offset in `raw` at which the field begins.
        start: usize,
        fault: Fault,
    },
}

/// The result of reading one line.
enum ReadLine {
    End,
    Line,
    TooLong { has_quote: bool },
}

impl CsvReader {
    /// Reads from this line on.
    pub(super) fn new(reader: Box<dyn BufRead>, delimiter: u8, line: u64) -> Self {
        Self { reader, delimiter, line, raw: Vec::new(), text: Vec::new(), ends: Vec::new() }
    }

    /// Reads the next row; `None` after the last.
    ///
    /// # Errors
    /// The file can't be read, or it can't be known where the next row begins.
    pub(super) fn next(&mut self) -> Result<Option<ReadRow>, Stop> {
        self.raw.clear();
        self.text.clear();
        self.ends.clear();
        let line = self.line;
        let read = match self.read_line()? {
            ReadLine::End => return Ok(None),
            ReadLine::Line => match self.split() {
                Ok(()) => Ok(()),
                Err(Broken::Stop(stop)) => return Err(stop),
                Err(Broken::Field { line: at, start, fault }) => Err(self.refuse(line, at, start, fault)?),
            },
            ReadLine::TooLong { has_quote: true } => return Err(stop(line, line..=line, Fault::NoEnd)),
            ReadLine::TooLong { has_quote: false } => Err(Rejection::too_large(PAYLOAD_BYTES_MAX)),
        };
        Ok(Some(ReadRow { line, read }))
    }

    /// Returns the number of fields of the current row.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a field of the current row; an empty one beyond the last.
    pub(super) fn field(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = start.zip(self.ends.get(place).copied());
        range.and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    /// Returns the fields of the current row.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|place| self.field(place))
    }

    /// Returns the current row as it is written, without its line end.
    pub(super) fn raw(&self) -> &[u8] {
        without_end(&self.raw)
    }

    /// Splits the row into fields; reads further lines while a quoted field is open.
    fn split(&mut self) -> Result<(), Broken> {
        let mut at = 0;
        loop {
            at = if self.raw.get(at) == Some(&b'"') { self.quoted(at)? } else { self.unquoted(at)? };
            self.ends.push(self.text.len());
            if self.raw.get(at) != Some(&self.delimiter) {
                return Ok(());
            }
            at += 1;
        }
    }

    /// Takes a field without quotes, and returns where it ends.
    fn unquoted(&mut self, start: usize) -> Result<usize, Broken> {
        let rest = self.raw.get(start..without_end(&self.raw).len()).unwrap_or_default();
        let field = &rest[..memchr(self.delimiter, rest).unwrap_or(rest.len())];
        let fault = memchr2(b'"', b'\r', field).map(|at| match (field[at], field[..at].trim_ascii().is_empty()) {
            (b'"', true) => Fault::BlankBeforeQuote,
            (b'"', false) => Fault::QuoteInside,
            _ => Fault::CarriageReturn,
        });
        if let Some(fault) = fault {
            return Err(Broken::Field { line: self.line - 1, start, fault });
        }
        self.text.extend_from_slice(field);
        Ok(start + field.len())
    }

    /// Takes a quoted field, and returns where it ends: behind its closing quote.
    fn quoted(&mut self, start: usize) -> Result<usize, Broken> {
        let line = self.line - 1;
        let broken = |fault| Broken::Field { line, start, fault };
        let mut at = start + 1;
        loop {
            let rest = self.raw.get(at..).unwrap_or_default();
            let Some(quote) = memchr(b'"', rest) else {
                self.text.extend_from_slice(rest);
                at = self.raw.len();
                match self.read_line().map_err(Broken::Stop)? {
                    ReadLine::Line => continue,
                    ReadLine::End => return Err(broken(Fault::NotClosed)),
                    ReadLine::TooLong { .. } => return Err(broken(Fault::NoEnd)),
                }
            };
            self.text.extend_from_slice(&rest[..quote]);
            at += quote + 1;
            match self.raw.get(at) {
                Some(b'"') => self.text.push(b'"'),
                Some(byte) if *byte != self.delimiter && at < without_end(&self.raw).len() => {
                    return Err(broken(Fault::TextAfterQuote { backslash: rest[..quote].ends_with(b"\\") }));
                }
                _ => return Ok(at),
            }
            at += 1;
        }
    }

    /// Refuses the row if the next line certainly begins the next row; else ends reading.
    fn refuse(&self, row: u64, line: u64, start: usize, fault: Fault) -> Result<Rejection, Stop> {
        let spans_lines = self.line > row + 1;
        if spans_lines || matches!(fault, Fault::NotClosed | Fault::NoEnd) || self.may_stay_open(start) {
            return Err(stop(row, line..=self.line - 1, fault));
        }
        Ok(Rejection::at(None, "", fault.to_string()))
    }

    /// Says whether a quoted field from `start` on might continue beyond the end of this line.
    fn may_stay_open(&self, start: usize) -> bool {
        let fields = self.raw.get(start..).unwrap_or_default().split(|byte| *byte == self.delimiter);
        fields.map(<[u8]>::trim_ascii).fold(false, |open, field| {
            let closes = field.ends_with(b"\"");
            let odd = !field.iter().filter(|byte| **byte == b'"').count().is_multiple_of(2);
            if open { !closes } else { odd && field.starts_with(b"\"") && !(closes && field.len() > 1) }
        })
    }

    /// Appends the next line to the row. The rest of a line that makes the row too long is skipped.
    fn read_line(&mut self) -> Result<ReadLine, Stop> {
        let (mut found, mut too_long, mut has_quote) = (false, false, false);
        loop {
            let read = self.reader.fill_buf().map_err(|error| Stop::Fault(self.line, error.to_string()))?;
            if read.is_empty() {
                break;
            }
            found = true;
            let end = memchr(b'\n', read);
            let part = &read[..end.map_or(read.len(), |end| end + 1)];
            too_long |= self.raw.len() + part.len() > ROW_BYTES_MAX;
            if too_long {
                has_quote |= part.contains(&b'"');
            } else {
                self.raw.extend_from_slice(part);
            }
            let used = part.len();
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.line += u64::from(found);
        Ok(match (found, too_long) {
            (false, _) => ReadLine::End,
            (true, false) => ReadLine::Line,
            (true, true) => ReadLine::TooLong { has_quote: has_quote || self.raw.contains(&b'"') },
        })
    }
}

/// Ends reading at the field on these lines, in the row that begins on `row`.
fn stop(row: u64, lines: RangeInclusive<u64>, fault: Fault) -> Stop {
    let (first, last) = lines.into_inner();
    let hint = if first > row {
        format!("; its row begins on line {row}: is a quote open since then?")
    } else if last > first && fault != Fault::NotClosed {
        format!("; the field spans the lines {first} to {last}: is its first quote not closed?")
    } else {
        String::new()
    };
    let reached = format!("the next row can't be found: the rows before line {row} were read, nothing after");
    Stop::Fault(first, format!("{fault}{hint}; {reached}"))
}

/// Cuts off the end of a line: LF or CR LF, or a CR alone at the end of the file.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextAfterQuote { backslash: false } => {
                "a quoted field has text after its closing quote; a quote within a field is written twice"
            }
            Self::TextAfterQuote { backslash: true } => {
                "a quoted field has text after its closing quote; a quote within a field is written twice, not as \\\""
            }
            Self::BlankBeforeQuote => "a quoted field has a blank before its quote",
            Self::QuoteInside => {
                "there is a quote in a field without quotes; such a field is quoted, and the quote is written twice"
            }
            Self::CarriageReturn => "there is a carriage return in a field without quotes",
            Self::NotClosed => "the quote of the field that begins here is not closed at the end of the file",
            Self::NoEnd => "the row has no end within 128 KiB: is a quote not closed?",
        })
    }
}
