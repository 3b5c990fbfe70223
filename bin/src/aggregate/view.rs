//! `View`: the trait of the output formats (table, JSON, CSV).

use super::response::{Group, Record};

/// Shows an aggregate, part by part.
pub(super) trait View: Send {
    /// Shows a group.
    ///
    /// # Errors
    /// The output can't be written.
    fn group(&mut self, group: Group) -> anyhow::Result<()>;

    /// Shows a record of the group that was shown last.
    ///
    /// # Errors
    /// As [`View::group`].
    fn record(&mut self, record: Record) -> anyhow::Result<()>;

    /// Ends the output.
    ///
    /// # Errors
    /// As [`View::group`].
    fn end(&mut self) -> anyhow::Result<()>;
}
