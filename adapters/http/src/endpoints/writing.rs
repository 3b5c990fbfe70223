//! The endpoints that process records: one, a JSON array, or a stream of NDJSON lines; plain or as CloudEvents.

pub(crate) mod result;
pub(crate) mod cloud_event;
pub(crate) mod record;
pub(crate) mod chunk;
pub(crate) mod pending_results;
pub(crate) mod batch;
pub(crate) mod ndjson;
