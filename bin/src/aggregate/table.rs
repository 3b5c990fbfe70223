//! Prints a response as a table, for people.

use std::io::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table as Drawing};

use tallyhouse_pipeline::RECORD_COLUMNS;

use super::response::{Group, Record, Summary};
use super::view::View;
use crate::output::Output;
use crate::output::printable;

/// Most rows of one table: its widths need all rows in memory, which is bounded.
const ROWS_MAX: usize = 1_000;

const TOTALS: [&str; 8] = ["destination", "count", "unit", "positive", "negative", "net", "first", "last"];
/// The columns that hold numbers.
const TOTALS_NUMBERS: [usize; 4] = [1, 3, 4, 5];
/// The columns of a record that hold numbers: its value and its sequence.
const RECORD_NUMBERS: [usize; 2] = [5, 8];

/// Draws tables.
pub(super) struct Table<'a, W: Write> {
    out: &'a mut Output<W>,
    records: bool,
    drawing: Drawing,
    rows: usize,
    groups: u64,
    records_total: u64,
}

impl<'a, W: Write> Table<'a, W> {
    /// Begins a table of totals, or of records.
    pub(super) fn new(out: &'a mut Output<W>, records: bool) -> Self {
        Self { out, records, drawing: drawing(records), rows: 0, groups: 0, records_total: 0 }
    }

    fn row(&mut self, row: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
        self.drawing.add_row(row.into_iter().map(|text| printable(&text).into_owned()));
        self.rows += 1;
        if self.rows >= ROWS_MAX { self.draw() } else { Ok(()) }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let drawn = std::mem::replace(&mut self.drawing, drawing(self.records));
        if std::mem::take(&mut self.rows) > 0 {
            self.out.line(drawn.to_string())?;
        }
        Ok(())
    }
}

impl<W: Write + Send> View for Table<'_, W> {
    fn group(&mut self, group: Group) -> anyhow::Result<()> {
        self.groups += 1;
        self.records_total += group.summary.count;
        if self.records {
            return Ok(());
        }
        let Summary { first_time, last_time, totals, .. } = group.summary;
        let (first, last) = (first_time.unwrap_or_default(), last_time.unwrap_or_default());
        for total in totals {
            let (positive, negative) = (total.positive.sum, total.negative.sum);
            let count = total.count.to_string();
            let destination = group.destination_id.clone();
            self.row([destination, count, total.unit, positive, negative, total.net, first.clone(), last.clone()])?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> anyhow::Result<()> {
        self.row(record.into_fields())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.draw()?;
        self.out.line(format!("destinations {}  records {}", self.groups, self.records_total))
    }
}

fn drawing(records: bool) -> Drawing {
    let mut drawing = Drawing::new();
    drawing.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    let numbers: &[usize] = if records { &RECORD_NUMBERS } else { &TOTALS_NUMBERS };
    if records {
        drawing.set_header(RECORD_COLUMNS)
    } else {
        drawing.set_header(TOTALS)
    };
    for (place, column) in drawing.column_iter_mut().enumerate() {
        if numbers.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    drawing
}
