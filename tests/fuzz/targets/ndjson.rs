//! Looks for bytes that break the laws of `ndjson`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::ndjson::check(data));
