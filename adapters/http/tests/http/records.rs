//! Records: written, read, exported, and their messages.

pub(crate) mod batches;
pub(crate) mod copies;
pub(crate) mod exports;
pub(crate) mod forms;
pub(crate) mod messages;
pub(crate) mod ndjson;
pub(crate) mod queries;
pub(crate) mod writes;
