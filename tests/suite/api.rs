//! The HTTP API, as callers meet it.

mod writes;
mod batches;
mod streams;
mod reads;
mod aggregates;
mod exports;
mod messages;
pub(crate) mod history;
mod manners;
mod alert_rules;
pub(crate) mod access;
mod tls;
mod hostile;
mod exactness;
mod flights;
