//! For tests of what is built on the core: the conformance suites that every adapter passes, a clock that a test moves
//! on, a queue and an emitter in memory, and a generator of records. Compiled with the feature `testing` only.
//!
//! A new adapter is done when it passes the suite of its port:
//! [`repository_conformance!`](crate::repository_conformance), [`source_conformance!`](crate::source_conformance) or
//! [`emitter_conformance!`](crate::emitter_conformance).

pub mod clock;
pub mod generate;
pub mod repository;
pub mod source;
pub mod emitter;

pub use clock::TestClock;
pub use emitter::{EmitterFixture, RecordingEmitter, RecordingFixture};
pub use generate::Generator;
pub use repository::{MemoryFixture, RepositoryFixture};
pub use source::{ScriptedFixture, ScriptedSource, SourceFixture};
