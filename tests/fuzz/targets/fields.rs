//! Looks for bytes that break the laws of `fields`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::fields::check(data));
