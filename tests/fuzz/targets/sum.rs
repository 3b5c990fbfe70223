//! Looks for bytes that break the laws of `sum`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::sum::check(data));
