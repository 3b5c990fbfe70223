//! Laws that hold for any input, each a function that takes bytes and panics where its law is broken. A fuzz target
//! runs one of them on inputs that it makes up to reach more and more of the code; the test `replay` runs all of them
//! on the inputs that are kept.
//!
//! What Tallyhouse says is compared with an `oracle`: slow and plain code that was written from the contract alone, and
//! shares no library with what it judges.

// The files of other packages that are included bring unit tests, which run there.
#![cfg(not(test))]
#![expect(clippy::panic, reason = "that is how a broken law is told")]

// What is right.
mod oracle;
// What the laws are checked with.
mod tail;
mod service;
// Parts of other packages that no library shows. Only what is fuzzed of them is used.
#[path = "../../../adapters/redis/src"]
#[expect(dead_code, reason = "part of another package")]
mod queues {
    pub(super) mod entry;
    pub(super) mod dead_letter;
}
// As they find each other in their own package.
use queues::{dead_letter, entry};
#[path = "../../../bin/src/import"]
#[expect(dead_code, reason = "part of another package")]
mod program {
    pub(super) mod input;
}
#[path = "../../../bin/src/output"]
mod output {
    mod printable;
    pub(crate) use printable::printable;
}
mod cli;
// The laws, each with the name of its target.
pub mod record;
pub mod fields;
pub mod ndjson;
pub mod request;
pub mod import;
pub mod queue;
pub mod keys;
pub mod sum;
pub mod plan;

/// A law, by the name of its fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// Every law.
pub const TARGETS: [Target; 9] = [
    ("record", record::check),
    ("fields", fields::check),
    ("ndjson", ndjson::check),
    ("request", request::check),
    ("import", import::check),
    ("queue", queue::check),
    ("keys", keys::check),
    ("sum", sum::check),
    ("plan", plan::check),
];
