//! Damage to any byte is an error, and never a panic.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

use super::super::image::Image;
use super::*;

/// With the unlock key at hand, which is the strictest reader that needs no token.
fn opens(vault: &UnlockedVault, bytes: Vec<u8>) -> Result<(), VaultError> {
    Image::parse(bytes)?.open(&vault.key).map(|_index| ())
}

/// Every value of every byte whose position leaves `part` divided by four: four tests, for all cores.
fn every_value(part: usize) {
    let vault = sample();
    let good = vault.image.bytes().to_vec();
    let mut image = Image::parse(good.clone()).unwrap();
    assert!(image.open(&vault.key).is_ok());
    let header = 16 + vault.header().encode().len();
    for position in (part..good.len()).step_by(4) {
        for change in 1..=255 {
            let damaged = if position < header {
                let mut bad = good.clone();
                bad[position] ^= change;
                opens(&vault, bad).is_err()
            } else {
                // Reading the structure looks at nothing beyond the header: it need not be done again.
                *image.byte_mut(position) ^= change;
                let damaged = image.open(&vault.key).is_err();
                *image.byte_mut(position) ^= change;
                damaged
            };
            assert!(damaged, "byte {position} changed by {change:#x}");
        }
    }
}

#[test]
fn every_byte_every_value_1_of_4() {
    every_value(0);
}

#[test]
fn every_byte_every_value_2_of_4() {
    every_value(1);
}

#[test]
fn every_byte_every_value_3_of_4() {
    every_value(2);
}

#[test]
fn every_byte_every_value_4_of_4() {
    every_value(3);
}

#[test]
fn every_length() {
    let vault = sample();
    let good = vault.image.bytes().to_vec();
    for length in 0..good.len() {
        assert!(opens(&vault, good[..length].to_vec()).is_err(), "cut to {length}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(opens(&vault, longer), Err(VaultError::Damaged(Part::Length)));
}

/// Somebody without any key changes a byte; the owner comes with the token.
#[test]
fn every_byte_of_the_header_with_the_token() {
    let vault = sample();
    let good = vault.image.bytes().to_vec();
    let header = 16 + vault.header().encode().len();
    for position in 0..header {
        let mut bad = good.clone();
        bad[position] ^= 1 << (position % 8);
        let error = reopen(&bad, None).map(|_| ()).expect_err("a damaged header opened");
        assert!(
            matches!(error, VaultError::Damaged(_) | VaultError::NewerFormat(_) | VaultError::WrongToken),
            "byte {position}: {error}"
        );
    }
}

/// Parts are named.
#[test]
fn the_damaged_part_is_named() {
    let vault = sample();
    let good = vault.image.bytes().to_vec();
    let header = 16 + vault.header().encode().len();
    let lengths = vault.header().lengths;
    let manifest = header + 32 + lengths.index;
    let salt = good.windows(32).position(|window| window == vault.header().salt).unwrap();
    for (position, part) in [
        (0, Part::Prefix),
        (16, Part::Header),
        (salt, Part::HeaderMac),
        (header, Part::HeaderMac),
        (header + 32, Part::Index),
        (manifest, Part::Manifest),
        (manifest + lengths.manifest, Part::Records),
        (good.len() - 1, Part::Records),
    ] {
        let mut bad = good.clone();
        bad[position] ^= 0x80;
        assert_eq!(opens(&vault, bad), Err(VaultError::Damaged(part)), "byte {position}");
    }
}
