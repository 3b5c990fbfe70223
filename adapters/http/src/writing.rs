//! The endpoints that process records: one, a JSON array, or a stream of NDJSON lines.

pub(crate) mod result;
pub(crate) mod record;
pub(crate) mod chunk;
pub(crate) mod batch;
pub(crate) mod ndjson;
