//! Every target of libFuzzer is this program under another name; what it does is in
//! `tests/support/fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::fuzz::run(env!("CARGO_BIN_NAME"), data));
