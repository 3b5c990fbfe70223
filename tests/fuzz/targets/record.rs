//! Looks for bytes that break the laws of `record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::record::check(data));
