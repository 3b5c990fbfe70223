//! The repository in memory passes the suite that every repository passes.

crate::repository_conformance!(crate::MemoryFixture);
