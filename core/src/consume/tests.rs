//! Tests of `consume.rs`.
