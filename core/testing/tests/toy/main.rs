//! The conformance suite, tried on a repository as small as can be, written from the documentation of the ports; and on
//! faulty ones, which the suite must find out.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in what they share")]

mod faults;
mod fixture;
mod pipelined;
mod repository;
mod state;

mod conformance {
    tallyhouse_testing::repository_conformance!(crate::fixture::ToyFixture);
}
