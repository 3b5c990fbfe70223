//! The HTTP ingress, over real sockets, before a repository in memory that can be made to fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod raw;
mod raw_http2;
mod service;
mod store;

mod alert_rules;
mod batches;
mod copies;
mod dashboard;
mod dead_letters;
mod draining;
mod dry_runs;
mod exports;
mod forms;
mod headers;
mod health;
mod hostile;
mod http2;
mod keys;
mod messages;
mod ndjson;
mod overload;
mod problems;
mod queries;
mod rate_limits;
mod shares;
mod slow;
mod tls;
mod writes;
