//! What the tests of Tallyhouse share: real servers, the real binary, and clients that see what its users see.
//!
//! A failure in here is a failure of the test that asked, so that most of it panics instead of returning errors.

#![expect(clippy::panic, reason = "a failure in here is the failure of the test that asked")]

pub mod folder;
pub mod servers;
pub mod clients;
pub mod data;
pub mod wait;
pub mod console;
pub mod packages;
pub mod browser;
pub mod chaos;
pub mod drills;
pub mod bench;

/// The examples of the page on embedding, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/EMBEDDING.md")]
pub struct Embedding;
