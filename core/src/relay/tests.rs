//! Tests of `relay.rs`.
