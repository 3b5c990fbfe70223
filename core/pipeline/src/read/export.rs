//! The export: every record of one moment, in the order in which they were processed.
//!
//! Positions become visible in order and have no gap, and the record at a position never changes. All records up to the
//! last position of a moment are therefore a snapshot that needs no open transaction: it is read page by page, however
//! long that takes.

use std::sync::Arc;

use futures::stream;
use tallyhouse_core::ports::{HistoryQuery, PartStream, PortError, PortErrorKind, RecordReader};
use tallyhouse_core::{Filter, StoredRecord};

/// The records that are read at a time.
pub(crate) const PAGE_RECORDS: u64 = 500;

/// All records of one moment, in pages.
#[non_exhaustive]
pub struct Export {
    /// The last position when the export began: 0 if there was no record.
    pub head: u64,
    /// The pages. Dropping the stream early ends the export.
    pub pages: PartStream<ExportPage>,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("head", &self.head).finish_non_exhaustive()
    }
}

/// A part of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportPage {
    /// The last position that has been read: from 1 to [`Export::head`].
    pub position: u64,
    /// The records of the page that match; perhaps none.
    pub records: Vec<Arc<StoredRecord>>,
}

/// Reads all matching records of this moment, in the order in which they were processed.
///
/// ```
/// # use std::sync::Arc;
/// # use tallyhouse_pipeline::{Pipeline, PipelineParts, TokioClock};
/// # use tallyhouse_testing::{MemoryRepository, generate};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(TokioClock::start());
/// # let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// # let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository.clone(), clock.clone()));
/// # let work = tokio::spawn(driver.run());
/// # pipeline.process(generate::record("r-1", "shop-9", "", "12.50", "EUR")).await?;
/// use futures::TryStreamExt as _;
/// use tallyhouse_pipeline::Filter;
///
/// let mut export = tallyhouse_pipeline::export(repository, Filter::default()).await?;
/// while let Some(page) = export.pages.try_next().await? {
///     assert_eq!((page.position, page.records.len()), (export.head, 1));
/// }
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
///
/// Records that are processed again in this order get the same sequences, if the filter selects whole keys. Memory: one
/// page. Time: O(all records), for any filter.
///
/// # Errors
/// The store can't answer now; also in the stream, which then ends. [`PortErrorKind::Corrupt`] if a position has no record:
/// an export is whole, or fails.
pub async fn export(reader: Arc<dyn RecordReader>, filter: Filter) -> Result<Export, PortError> {
    let head = reader.head().await?;
    let pages = stream::try_unfold(0, move |after| {
        let (reader, filter) = (Arc::clone(&reader), filter.clone());
        async move {
            if after >= head {
                return Ok(None);
            }
            let read = read_on(&*reader, after, head.min(after + PAGE_RECORDS)).await?;
            let position = after + read.len() as u64;
            let records = read.into_iter().filter(|stored| filter.matches(&stored.processed.record)).collect();
            let page = ExportPage { position, records };
            Ok(Some((page, position)))
        }
    });
    Ok(Export { head, pages: Box::pin(pages) })
}

/// Reads the records at the positions above `after` and up to `last`, at most [`PAGE_RECORDS`]. Each of these positions
/// must have a record.
pub(crate) async fn between(
    reader: &dyn RecordReader,
    after: u64,
    last: u64,
) -> Result<Vec<Arc<StoredRecord>>, PortError> {
    let mut read = Vec::new();
    while after + (read.len() as u64) < last {
        let from = after + read.len() as u64;
        read.append(&mut read_on(reader, from, last).await?);
    }
    Ok(read)
}

/// Reads records from the position after `after` on, up to `last` or until the page is full: at least one. None may be
/// missing among them.
async fn read_on(reader: &dyn RecordReader, after: u64, last: u64) -> Result<Vec<Arc<StoredRecord>>, PortError> {
    let limit = usize::try_from(last - after).unwrap_or(usize::MAX);
    let read = reader.history(HistoryQuery { after, alerting_only: false, limit }).await?;
    if read.is_empty() || !read.iter().map(|(position, _)| *position).eq(after + 1..=after + read.len() as u64) {
        let gap = format!("of the positions {} to {last}, some have no record", after + 1);
        return Err(PortError::new(PortErrorKind::Corrupt, "reading all records", gap));
    }
    Ok(read.into_iter().map(|(_, stored)| stored).collect())
}

#[cfg(test)]
mod tests;
