#![no_main]

#[path = "../checks/vault.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    checks::vault_header(input);
});
