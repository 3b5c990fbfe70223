//! Prints a response as CSV.

use std::io::Write;

use tallyhouse_pipeline::{RECORD_COLUMNS, TOTAL_COLUMNS, write_row};

use super::response::{Group, Record};
use super::view::View;
use crate::output::Output;

/// Writes rows.
pub(super) struct Csv<'a, W: Write> {
    out: &'a mut Output<W>,
    records: bool,
    has_head: bool,
}

impl<'a, W: Write> Csv<'a, W> {
    /// Begins a view of totals, or of records.
    pub(super) fn new(out: &'a mut Output<W>, records: bool) -> Self {
        Self { out, records, has_head: false }
    }

    fn row<T: AsRef<str>>(&mut self, fields: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
        self.head()?;
        self.write(fields)
    }

    fn head(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.has_head, true) {
            return Ok(());
        }
        if self.records { self.write(RECORD_COLUMNS) } else { self.write(TOTAL_COLUMNS) }
    }

    fn write<T: AsRef<str>>(&mut self, fields: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
        let mut row = Vec::new();
        write_row(&mut row, fields);
        self.out.write(row)
    }
}

impl<W: Write + Send> View for Csv<'_, W> {
    fn group(&mut self, group: Group) -> anyhow::Result<()> {
        if self.records {
            return Ok(());
        }
        let (first, last) = (group.summary.first_time.unwrap_or_default(), group.summary.last_time.unwrap_or_default());
        for total in group.summary.totals {
            let counts = [total.count, total.positive.count, total.negative.count].map(|count| count.to_string());
            let [count, positive, negative] = &counts;
            self.row([
                &group.destination_id,
                &total.unit,
                count,
                positive,
                &total.positive.sum,
                negative,
                &total.negative.sum,
                &total.net,
                &first,
                &last,
            ])?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> anyhow::Result<()> {
        self.row(record.into_fields())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.head()
    }
}
