//! The progress of an import: a bar on a terminal, nothing elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tallyhouse_pipeline::OutcomeCounts;

/// The bar, and the figures that it shows.
pub(super) struct Progress {
    bar: ProgressBar,
    bytes_read: Arc<AtomicU64>,
    started: Instant,
}

impl Progress {
    /// Begins the display; `bytes_total` is unknown for a pipe.
    pub(super) fn begin(bytes_total: Option<u64>, bytes_read: Arc<AtomicU64>) -> Self {
        let (bar, template) = match bytes_total {
            Some(total) => {
                (ProgressBar::new(total), "{wide_bar} {percent}%  {bytes} of {total_bytes}  {msg}  {eta} left")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {bytes}  {msg}  {elapsed}"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, bytes_read, started: Instant::now() }
    }

    /// Shows the counts so far.
    pub(super) fn show(&self, counts: &OutcomeCounts) {
        let records = counts.processed + counts.duplicates + counts.refused();
        let per_second = u128::from(records) * 1_000 / self.started.elapsed().as_millis().max(1);
        self.bar.set_position(self.bytes_read.load(Ordering::Relaxed));
        self.bar.set_message(format!("{records} records, {per_second}/s"));
    }

    /// Prints a line above the bar.
    pub(super) fn print(&self, text: &str) {
        self.bar.suspend(|| crate::output::note(text));
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
