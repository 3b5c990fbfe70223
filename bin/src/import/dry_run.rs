//! An import that reads and checks every record, and stores none. It needs no database, and so can't tell duplicates
//! and conflicts.

use tallyhouse_pipeline::Outcome;

use super::chunks::Chunks;
use super::report::Tally;

/// Counts the valid records as processed.
///
/// # Errors
/// The file of refused records can't be written.
pub(super) async fn check_all(chunks: &mut Chunks, tally: &mut Tally) -> anyhow::Result<()> {
    while let Some(chunk) = chunks.next().await {
        for item in chunk.items {
            match item.record {
                Ok(_) => tally.counts.processed += 1,
                Err(rejection) => {
                    let outcome = Outcome::Rejected(rejection);
                    tally.counts.count(&outcome);
                    tally.refusals.keep(&tally.progress, &chunk.file, item.line, item.input.as_deref(), &outcome)?;
                }
            }
        }
        tally.progress.show(&tally.counts);
    }
    Ok(())
}
