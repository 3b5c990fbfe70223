//! Tests of `feed.rs`.
