//! The repository on a real Postgres: the port's conformance suite, and what only Postgres can get wrong.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in what they share")]

mod support;
mod proxy;
mod conformance;
mod commits;
mod optimistic;
mod growth;
mod positions;
mod values;
mod connections;
mod streams;
mod history;
mod migrations;
mod order;
