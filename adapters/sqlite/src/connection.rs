//! Connections: the settings, how a connection is opened, the readers, and the check and migration of the schema.

pub(crate) mod settings;
pub(crate) mod file_identity;
pub(crate) mod open;
pub(crate) mod migrate;
pub(crate) mod readers;
pub(crate) mod blocking_stream;
