#![no_main]

#[path = "../checks/text.rs"]
#[expect(dead_code, reason = "each target uses one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::qr_png(input);
});
