//! Adapters that keep everything in memory: a repository, a queue and an emitter.

pub(crate) mod emitter;
pub(crate) mod repository;
pub(crate) mod source;
mod store;
