//! Tests of `isolate.rs`.
