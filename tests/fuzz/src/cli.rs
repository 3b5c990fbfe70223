//! What the files of the program that are included here ask of its command line.

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
