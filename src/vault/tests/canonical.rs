//! One encoding for one content: whatever a reader lets pass, the writer writes again byte by byte.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

use super::super::header::Header;
use super::super::index::Index;
use super::super::manifest::Manifest;
use super::*;

/// Feeds `decode` (which gives back an encoding where it accepts) with the input and changed copies of it.
fn every_change(good: &[u8], decode: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert_eq!(decode(good).as_deref(), Some(good));
    let mut refused = 0;
    for position in 0..good.len() {
        for change in [0x01, 0x02, 0x08, 0x20, 0x40, 0x80, 0xff] {
            let mut changed = good.to_vec();
            changed[position] ^= change;
            match decode(&changed) {
                Some(again) => assert_eq!(again, changed, "byte {position} changed by {change:#x}"),
                None => refused += 1,
            }
        }
        let mut longer = good.to_vec();
        longer.insert(position, good[position]);
        if let Some(again) = decode(&longer) {
            assert_eq!(again, longer);
        }
        assert!(decode(&good[..position]).is_none(), "cut at {position}");
    }
    assert!(refused > 0);
}

#[test]
fn headers() {
    let encoded = sample().header().encode();
    every_change(&encoded, |bytes| Some(Header::decode(bytes).ok()?.encode()));
}

#[test]
fn indexes() {
    let vault = sample();
    let records = vault.image.records().len();
    every_change(&vault.index.encode(), |bytes| Some(Index::decode(bytes, records).ok()?.encode().to_vec()));
    assert!(Index::decode(&vault.index.encode(), records + 1).is_err());
}

#[test]
fn manifests() {
    let vault = sample();
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let manifest = Manifest::open(&key, vault.header(), &vault.index, vault.image.manifest()).unwrap();
    every_change(&manifest.encode(), |bytes| Some(Manifest::decode(bytes).ok()?.encode()));
}

#[test]
fn payloads() {
    for payload in [access_key(PROD, "AKIAPROD"), totp(TEST), totp_token(TEST)] {
        let kind = payload.kind();
        every_change(&payload.encode(), |bytes| Some(Payload::decode(kind, bytes).ok()?.encode().to_vec()));
    }
}

#[test]
fn files() {
    let bytes = sample().image.bytes().to_vec();
    assert_eq!(SealedVault::parse(bytes.clone()).unwrap().bytes(), bytes);
    let newer = [b"ROOTSEAL".as_slice(), &[0, 0, 0, 2]].concat();
    assert_eq!(SealedVault::parse(newer).map(|_| ()), Err(VaultError::NewerFormat(2)));
}
