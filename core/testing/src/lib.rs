//! For tests of what is built on Tallyhouse: the conformance suites that every adapter passes, a repository, a queue
//! and an emitter in memory, clocks that a test moves on, a generator of records, mocks of the ports, and the
//! simulation of a whole deployment.
//!
//! A new adapter is done when it passes the suite of its port: [`repository_conformance!`], [`source_conformance!`] or
//! [`emitter_conformance!`].

pub mod clock;
pub mod generate;
mod memory;
pub mod gated;
mod mocks;
pub mod repository;
pub mod source;
pub mod emitter;
#[cfg(test)]
mod simulation;

pub use clock::TestClock;
pub use emitter::{EmitterFixture, RecordingEmitter, RecordingFixture};
pub use generate::Generator;
pub use memory::{MemoryRepository, MemorySnapshot};
pub use mocks::{MockMessageEmitter, MockRecordReader, MockRecordSource};
pub use repository::{MemoryFixture, RepositoryFixture};
pub use source::{ScriptedFixture, ScriptedSource, SourceFixture};
