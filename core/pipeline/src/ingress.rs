//! The ways into the pipeline.

pub(crate) mod chunks;
