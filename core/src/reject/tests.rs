//! Tests of `reject`.
