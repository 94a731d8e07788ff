//! Elements as cards write them.
#![no_main]

#[path = "common/tlv.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _believed = common::run(data);
});
