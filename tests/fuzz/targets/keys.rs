//! Looks for bytes that break the laws of `keys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::keys::check(data));
