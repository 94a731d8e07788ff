//! Replays the fuzz corpora of the card's side: TLV, and responses to PIV, OATH and OTP commands.
#![expect(clippy::unwrap_used, reason = "a test without its corpus fails")]

#[path = "../fuzz/fuzz_targets/common/card.rs"]
mod card;
#[path = "../fuzz/fuzz_targets/common/oath_replies.rs"]
mod oath_replies;
#[path = "../fuzz/fuzz_targets/common/piv_replies.rs"]
mod piv_replies;
#[path = "../fuzz/fuzz_targets/common/tlv.rs"]
mod tlv;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What `run` says of each file of a corpus.
fn replay<R>(target: &str, run: fn(&[u8]) -> R) -> BTreeMap<String, R> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .map(|file| (file.file_name().into_string().unwrap(), run(&std::fs::read(file.path()).unwrap())))
        .collect()
}

/// The files whose card is believed are these and no other.
fn believed(target: &str, run: fn(&[u8]) -> bool) -> BTreeSet<String> {
    let seen = replay(target, run);
    assert!(seen.values().any(|believed| !believed), "{target} has bad input");
    seen.into_iter().filter(|(_, believed)| *believed).map(|(name, _)| name).collect()
}

#[test]
fn only_sound_cards_are_believed() {
    let expected = [
        "attestation",
        "ecdh",
        "ecdh_in_parts",
        "generated",
        "guid",
        "key_by_certificate",
        "key_by_metadata",
        "key_rsa",
        "keys_all_empty",
        "pin_right",
        "pin_verified_already",
        "protected_key",
        "version_serial",
    ];
    assert_eq!(believed("piv_replies", piv_replies::run), BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn only_sound_tokens_are_believed() {
    let expected = [
        "all",
        "code",
        "deleted",
        "list",
        "list_in_parts",
        "list_unknown_kind",
        "no_access_key",
        "otp",
        "put",
    ];
    assert_eq!(believed("oath_replies", oath_replies::run), BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn elements_are_read_until_one_is_broken() {
    let seen = replay("tlv", tlv::run);
    for (name, elements) in [("three", 3), ("certificate_object", 1), ("not_shortest", 1), ("cut", 0)] {
        assert_eq!(seen.get(name), Some(&elements), "{name}");
    }
    for broken in ["long_tag", "indefinite", "four_byte_length", "claims_more"] {
        assert_eq!(seen.get(broken), Some(&0), "{broken}");
    }
}
