//! Tests of `pipeline.rs`.
