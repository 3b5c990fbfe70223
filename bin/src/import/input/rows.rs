//! The rows of a CSV file, whose first row names its columns.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use tallyhouse_pipeline::{Field, PAYLOAD_BYTES_MAX, Rejection};

use super::Ended;

/// How much the CSV reader reads ahead.
const READ_AHEAD: usize = 64 * 1024;

/// Reads rows.
pub(super) struct Rows {
    reader: csv::Reader<Bounded>,
    since_row: Rc<Cell<usize>>,
    row: csv::ByteRecord,
    /// Which column each field of a record is in.
    columns: [usize; 8],
    width: usize,
    /// How many lines come before what the CSV reader sees.
    lines_before: u64,
}

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) line: u64,
    row: &'a csv::ByteRecord,
    columns: &'a [usize; 8],
    width: usize,
}

impl Rows {
    /// Reads the names of the columns; `None` if there is nothing at all.
    pub(super) fn begin(reader: Box<dyn BufRead>, line: u64) -> Result<Option<Self>, Ended> {
        let since_row = Rc::new(Cell::new(0));
        let bounded = Bounded { reader, since_row: Rc::clone(&since_row), last: b'\n' };
        let mut builder = csv::ReaderBuilder::new();
        // With its usual ends of rows the reader counts the line feed of a CR LF into the next row.
        builder.flexible(true).has_headers(false).terminator(csv::Terminator::Any(b'\n')).buffer_capacity(READ_AHEAD);
        let reader = builder.from_reader(bounded);
        let mut rows =
            Self { reader, since_row, row: csv::ByteRecord::new(), columns: [0; 8], width: 0, lines_before: line - 1 };
        if !rows.advance()? {
            return Ok(None);
        }
        rows.width = rows.row.len();
        rows.columns = columns(&rows.row).map_err(|fault| Ended::At(line, fault))?;
        Ok(Some(rows))
    }

    /// Returns the next row, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, Ended> {
        if !self.advance()? {
            return Ok(None);
        }
        // The reader's own position of a row is that of the blank lines before it. Counted from its end, whose line
        // feed is always there, it is right.
        let within = self.row.as_slice().iter().filter(|b| **b == b'\n').count() as u64;
        let line = self.reader.position().line() - 1 - within + self.lines_before;
        Ok(Some(Row { line, row: &self.row, columns: &self.columns, width: self.width }))
    }

    fn advance(&mut self) -> Result<bool, Ended> {
        loop {
            self.since_row.set(0);
            let line = self.reader.position().line() + self.lines_before;
            let more = self.reader.read_byte_record(&mut self.row).map_err(|error| Ended::At(line, fault_of(error)))?;
            let is_blank = self.row.len() == 1 && text_of(&self.row, 0).is_empty();
            if !(more && is_blank) {
                return Ok(more);
            }
        }
    }
}

impl Row<'_> {
    /// Returns the eight fields in the order of [`Field::ALL`].
    pub(super) fn fields(&self) -> Result<[&str; 8], Rejection> {
        if self.row.len() != self.width {
            let detail = format!("the row has {} fields, the first line has {}", self.row.len(), self.width);
            return Err(Rejection::at(None, "", detail));
        }
        if self.row.iter().map(<[u8]>::len).sum::<usize>() > PAYLOAD_BYTES_MAX {
            return Err(Rejection::too_large(PAYLOAD_BYTES_MAX));
        }
        let mut fields = [""; 8];
        for (field, (text, column)) in Field::ALL.into_iter().zip(fields.iter_mut().zip(self.columns)) {
            let bytes = text_of(self.row, *column);
            *text = std::str::from_utf8(bytes).map_err(|_| Rejection::at(None, field.pointer(), "must be UTF-8"))?;
        }
        Ok(fields)
    }

    /// Writes the row as CSV, without the end of its line.
    pub(super) fn as_written(&self) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        let written = writer.write_record((0..self.row.len()).map(|column| text_of(self.row, column)));
        match written.map_err(io::Error::other).and_then(|()| writer.into_inner().map_err(|error| error.into_error())) {
            Ok(mut text) => {
                text.pop();
                text
            }
            Err(error) => unreachable!("writing to memory can't fail: {error}"),
        }
    }
}

/// Returns a field of a row, without the first half of a CR LF behind it.
fn text_of(row: &csv::ByteRecord, column: usize) -> &[u8] {
    let bytes = row.get(column).unwrap_or_default();
    if column + 1 == row.len() { bytes.strip_suffix(b"\r").unwrap_or(bytes) } else { bytes }
}

/// Finds the columns of the eight fields.
fn columns(names: &csv::ByteRecord) -> Result<[usize; 8], String> {
    let mut columns = [0; 8];
    let (mut missing, mut twice) = (Vec::new(), Vec::new());
    for (field, column) in Field::ALL.into_iter().zip(&mut columns) {
        let mut places = names.iter().enumerate().filter(|(_, name)| name.trim_ascii() == field.name().as_bytes());
        match (places.next(), places.next()) {
            (Some((place, _)), None) => *column = place,
            (Some(_), Some(_)) => twice.push(field.name()),
            (None, _) => missing.push(field.name()),
        }
    }
    if missing.is_empty() && twice.is_empty() {
        return Ok(columns);
    }
    let faults = [("missing", missing), ("there twice", twice)];
    let faults = faults.iter().filter(|(_, names)| !names.is_empty());
    let faults: Vec<String> = faults.map(|(fault, names)| format!("{fault}: {}", names.join(", "))).collect();
    Err(format!("this is read as CSV, whose first line must name the eight fields of a record; {}", faults.join("; ")))
}

fn fault_of(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

/// Ends reading within a row that has no end: a quote that is never closed would take the rest of the file into memory.
/// Ends the last row with a line feed, as the others are.
struct Bounded {
    reader: Box<dyn BufRead>,
    since_row: Rc<Cell<usize>>,
    /// The last byte that was read.
    last: u8,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > PAYLOAD_BYTES_MAX * 2 {
            return Err(io::Error::other("the row has no end within 128 KiB: is a quote not closed?"));
        }
        let mut read = self.reader.read(buffer)?;
        if read == 0 && self.last != b'\n' && !buffer.is_empty() {
            buffer[0] = b'\n';
            read = 1;
        }
        if let Some(last) = buffer[..read].last() {
            self.last = *last;
        }
        self.since_row.set(self.since_row.get() + read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
