//! Tests of `sum`.
