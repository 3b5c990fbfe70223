//! Looks for bytes that break the laws of `plan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::plan::check(data));
