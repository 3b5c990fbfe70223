//! A stub of the program's `cli` module, for its source files that are included here by `#[path]`.

/// What a file of records is: the program's own enum, without what its command line makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputFormat {
    /// One record a line.
    Ndjson,
    /// An array of records.
    Json,
    /// A line with the names of the fields, then one record a row.
    Csv,
}
