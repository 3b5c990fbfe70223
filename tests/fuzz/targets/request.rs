//! Looks for bytes that break the laws of `request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::request::check(data));
