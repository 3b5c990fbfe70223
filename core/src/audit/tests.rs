//! Tests of `audit.rs`.
