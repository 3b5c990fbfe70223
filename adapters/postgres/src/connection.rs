//! Connections: the settings, the pools, and the check and migration of the schema.

pub(crate) mod settings;
pub(crate) mod address;
pub(crate) mod clear_text;
pub(crate) mod pool;
pub(crate) mod migrate;
mod sessions;
mod applied_migrations;
