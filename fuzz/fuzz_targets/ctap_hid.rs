//! Reports of a token.
#![no_main]

#[path = "common/ctap_hid.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _count = common::run(data);
});
