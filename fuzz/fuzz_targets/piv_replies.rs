//! Responses of a card to PIV commands.
#![no_main]

#[path = "common/card.rs"]
mod card;
#[path = "common/piv_replies.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _believed = common::run(data);
});
