//! Records in the rows of a CSV file, whose first row names its columns.

use std::io::BufRead;
use std::ops::RangeInclusive;

use tallyhouse_pipeline::{Field, PAYLOAD_BYTES_MAX, Rejection};

use super::csv::{CsvReader, ReadRow};
use super::csv_header::{self, CsvOptions};
use super::stop::Stop;

/// Reads the rows after the header row.
pub(super) struct Rows {
    reader: CsvReader,
    /// The column of each field of a record.
    columns: [usize; 8],
    /// The number of fields of a row: from the last column with a name to the last column.
    width: RangeInclusive<usize>,
}

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) line: u64,
    /// The eight fields in the order of [`Field::ALL`], or the reason why the row is refused.
    pub(super) fields: Result<[&'a str; 8], Rejection>,
    /// The row as it is written, without its line end.
    pub(super) raw: &'a [u8],
}

impl Rows {
    /// Reads the names of the columns; `None` if the file is empty.
    ///
    /// # Errors
    /// The names are not those of a record.
    pub(super) fn begin(reader: Box<dyn BufRead>, line: u64, options: &CsvOptions) -> Result<Option<Self>, Stop> {
        let mut reader = CsvReader::new(reader, options.delimiter, line);
        let Some(ReadRow { line, read }) = next_with_content(&mut reader)? else { return Ok(None) };
        read.map_err(|rejection| Stop::Fault(line, rejection.detail()))?;
        let names: Vec<&[u8]> = reader.fields().collect();
        let columns = csv_header::columns(&names, reader.raw(), options).map_err(|fault| Stop::Fault(line, fault))?;
        // Spreadsheets write empty cells to the right of a table, in its header or in its rows.
        let named = names.iter().rposition(|name| !name.trim_ascii().is_empty()).map_or(0, |last| last + 1);
        Ok(Some(Self { width: named..=names.len(), columns, reader }))
    }

    /// Returns the next row, `None` after the last. Rows without content are skipped.
    ///
    /// # Errors
    /// The file can't be read, or it can't be known where the next row begins.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, Stop> {
        let Some(ReadRow { line, read }) = next_with_content(&mut self.reader)? else { return Ok(None) };
        Ok(Some(Row { line, fields: read.and_then(|()| self.fields()), raw: self.reader.raw() }))
    }

    fn fields(&self) -> Result<[&str; 8], Rejection> {
        let is_blank = |field: &[u8]| field.trim_ascii().is_empty();
        let fields = self.reader.len();
        if fields < *self.width.start() || !self.reader.fields().skip(*self.width.end()).all(is_blank) {
            let detail = format!("the row has {fields} fields, the first line has {}", self.width.end());
            return Err(Rejection::at(None, "", detail));
        }
        if self.reader.fields().map(<[u8]>::len).sum::<usize>() > PAYLOAD_BYTES_MAX {
            return Err(Rejection::too_large(PAYLOAD_BYTES_MAX));
        }
        let mut fields = [""; 8];
        for (field, (text, column)) in Field::ALL.into_iter().zip(fields.iter_mut().zip(self.columns)) {
            let utf8 = std::str::from_utf8(self.reader.field(column));
            *text = utf8.map_err(|_| Rejection::at(None, field.pointer(), "must be UTF-8"))?;
        }
        Ok(fields)
    }
}

/// Reads the next row that is refused or has a field with content. Spreadsheets write rows of empty fields.
fn next_with_content(reader: &mut CsvReader) -> Result<Option<ReadRow>, Stop> {
    loop {
        match reader.next()? {
            Some(row) if row.read.is_ok() && reader.fields().all(|field| field.trim_ascii().is_empty()) => {}
            row => return Ok(row),
        }
    }
}

#[cfg(test)]
mod tests;
