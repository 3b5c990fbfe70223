//! For tests of adapters and hosts of Tallyhouse: the conformance suites that every adapter passes, a repository, a
//! queue and an emitter in memory, a clock that a test moves on, a generator of records, mocks of the ports, and the
//! simulation of a whole deployment.
//!
//! A new adapter is done when it passes the suite of its port: [`repository_conformance!`], [`source_conformance!`] or
//! [`emitter_conformance!`].

pub mod conformance;
mod doubles;
mod memory;
#[cfg(test)]
mod simulation;

pub use conformance::emitter::EmitterFixture;
pub use conformance::repository::RepositoryFixture;
pub use conformance::source::SourceFixture;
pub use conformance::{MemoryFixture, RecordingFixture, ScriptedFixture};
pub use doubles::clock::TestClock;
pub use doubles::generate::Generator;
pub use doubles::mocks::{MockMessageEmitter, MockRecordReader, MockRecordSource};
pub use doubles::{fault_injection, generate};
pub use memory::emitter::RecordingEmitter;
pub use memory::repository::{MemoryRepository, MemorySnapshot};
pub use memory::source::ScriptedSource;
