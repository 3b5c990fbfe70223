//! Looks for bytes that break the laws of `import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyhouse_fuzz::import::check(data));
