//! The running result of an import: counts, refusals, progress.

use tallyhouse_pipeline::OutcomeCounts;

use super::progress::Progress;
use super::refusals::Refusals;
use crate::output::Output;

/// The outcomes of the records so far.
pub(super) struct Tally {
    pub(super) counts: OutcomeCounts,
    pub(super) refusals: Refusals,
    pub(super) progress: Progress,
}

impl Tally {
    /// Ends the display, and prints the counts.
    ///
    /// # Errors
    /// The refusals or the counts can't be written.
    pub(super) fn end(&mut self, dry_run: bool) -> anyhow::Result<()> {
        self.progress.end();
        self.refusals.end()?;
        let OutcomeCounts { processed, duplicates, conflicts, rejected } = self.counts;
        let mut out = Output::standard();
        out.line(if dry_run {
            format!("valid {processed}  rejected {rejected}  nothing was stored")
        } else {
            format!("processed {processed}  duplicates {duplicates}  conflicts {conflicts}  rejected {rejected}")
        })?;
        out.flush()
    }
}
