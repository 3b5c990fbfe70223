//! The repository on a real Postgres: the port's conformance suite, and what only Postgres can get wrong.

mod support;
mod proxy;
mod conformance;
mod commits;
mod growth;
mod positions;
mod values;
