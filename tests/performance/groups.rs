//! What is measured: a module for each group of figures.

pub(crate) mod single;
pub(crate) mod bulk;
pub(crate) mod latency;
pub(crate) mod messages;
pub(crate) mod mixed;
pub(crate) mod observed;
pub(crate) mod reads;
pub(crate) mod growth;
pub(crate) mod trips;
pub(crate) mod sqlite;
pub(crate) mod versions;
