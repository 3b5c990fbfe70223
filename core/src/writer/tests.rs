//! Tests of `writer.rs`.
