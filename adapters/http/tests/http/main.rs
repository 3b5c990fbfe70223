//! The HTTP ingress, over real sockets, before a repository in memory that can be made to fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod support;

mod managing;
mod records;
mod connections;
mod headers;
mod health;
mod hostile;
mod problems;
