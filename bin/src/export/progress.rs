//! The progress of an export: a bar on a terminal, nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The bar.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// Begins the display, unless the records themselves go to the terminal. The total is not known yet.
    pub(super) fn begin(hidden: bool) -> Self {
        let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_style(style("{spinner} {msg}  {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, started: Instant::now() }
    }

    /// Sets the total: the position at the end.
    pub(super) fn expect(&self, total: u64) {
        self.bar.set_style(style("{wide_bar} {percent}%  {msg}  {eta} left"));
        self.bar.set_length(total);
    }

    /// Shows the position, and the number of records written.
    pub(super) fn show(&self, position: u64, records: u64) {
        let per_second = u128::from(records) * 1_000 / self.started.elapsed().as_millis().max(1);
        self.bar.set_position(position);
        self.bar.set_message(format!("{records} records, {per_second}/s"));
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
