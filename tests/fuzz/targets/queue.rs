//! Looks for bytes that break the laws of `queue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::queue::check(data));
