//! Replies of a token, after framing and status byte.
#![no_main]

#[path = "common/ctap_cbor.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _count = common::run(data);
});
