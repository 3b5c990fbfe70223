//! An export from the configured database.

use anyhow::Context as _;
use futures::StreamExt as _;
use tallyhouse_pipeline::{Filter, RECORD_COLUMNS, export, write_record_row, write_row};

use super::progress::Progress;
use super::sink::Sink;
use crate::cli::ExportFormat;
use crate::database::{Database, Schema};
use crate::settings::Settings;

const READING: &str = "the database could not be read to the end";

/// Writes the records, and returns how many they were.
///
/// # Errors
/// The database can't be read, or the output can't be written.
pub(super) async fn write(
    settings: &Settings,
    filter: Filter,
    format: ExportFormat,
    sink: &mut Sink,
    progress: &Progress,
) -> anyhow::Result<u64> {
    let store = Database::open(settings, Schema::Check).await?;
    let mut export = export(store.store.clone(), filter).await.context(READING)?;
    progress.expect(export.head);
    let (mut records, mut piece) = (0, Vec::new());
    if format == ExportFormat::Csv {
        write_row(&mut piece, RECORD_COLUMNS);
    }
    while let Some(page) = export.pages.next().await {
        let page = page.context(READING)?;
        for stored in &page.records {
            match format {
                ExportFormat::Csv => write_record_row(&mut piece, &stored.processed),
                ExportFormat::Ndjson => {
                    serde_json::to_writer(&mut piece, &stored.processed)?;
                    piece.push(b'\n');
                }
            }
        }
        records += page.records.len() as u64;
        sink.write(&piece)?;
        piece.clear();
        progress.show(page.position, records);
    }
    // An empty database has no page, and its CSV a row of names all the same.
    sink.write(&piece)?;
    Ok(records)
}
