//! The PIV commands, byte for byte.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the path of a method names one lifetime, not any"
)]

use super::super::*;
use super::{P256_CERTIFICATE, P256_POINT, P256_SCALAR, SELECT, Script, patience, unhex};
use crate::channel::{After, ChannelError};
use crate::crypto::ecdh::{Curve, PrivateKey};
use crate::crypto::hash::hex;
use crate::secret::Pin;

const TRIES: &str = "0020008000";
const VERIFY: &str = "0020008008313233343536ffff";
const NO_METADATA: &str = "6d00";

fn with<R>(script: &mut Script, run: impl FnOnce(&mut Piv<'_>) -> R) -> R {
    let patience = patience();
    let mut piv = Piv::open(script, &patience).unwrap();
    let result = run(&mut piv);
    drop(piv);
    assert!(script.is_done(), "all was asked for");
    result
}

fn hex_tlv(tag: u16, value: &str) -> String {
    hex(&tlv::build(tag, &[&unhex(value)]).unwrap())
}

fn certificate_object() -> String {
    let inner = format!("{}710100fe00", hex_tlv(0x70, P256_CERTIFICATE));
    format!("{}9000", hex_tlv(0x53, &inner))
}

#[test]
fn a_card_without_the_application_says_so() {
    for refused in ["6a82", "6d00", "6a81"] {
        let mut script = Script::new(&[(SELECT.0, refused)]);
        let patience = patience();
        assert_eq!(Piv::open(&mut script, &patience).err(), Some(PivError::NoApplication("PIV")));
        assert_eq!(script.ended, [After::Leave]);
    }
}

#[test]
fn tries_are_read_without_spending_any() {
    let tries = |lines: &[(&str, &str)]| with(&mut Script::piv(lines), |piv| piv.pin_tries());
    assert_eq!(tries(&[(TRIES, "63c3")]), Ok(PinTries::Left(3)));
    assert_eq!(tries(&[(TRIES, "6983")]), Ok(PinTries::Left(0)));
    assert_eq!(tries(&[(TRIES, "6d00")]), Err(PivError::Status(Status::NotSupported)));
    // Verified by somebody: a YubiKey says it all the same, others after the verification was taken back.
    assert_eq!(tries(&[(TRIES, "9000"), ("00f7008000", "0506020503029000")]).err(), Some(BROKEN));
    assert_eq!(tries(&[(TRIES, "9000"), ("00f7008000", "060205029000")]), Ok(PinTries::Left(2)));
    let undone = [(TRIES, "9000"), ("00f7008000", "6d00"), ("0020ff8000", "9000"), (TRIES, "63c2")];
    assert_eq!(tries(&undone), Ok(PinTries::Left(2)));
    let mute = [(TRIES, "9000"), ("00f7008000", "6d00"), ("0020ff8000", "6a86")];
    assert_eq!(tries(&mute), Ok(PinTries::Verified));
}

const BROKEN: PivError = PivError::Malformed("broken TLV");

#[test]
fn a_pin_is_padded_and_its_last_try_is_kept() {
    let verify = |lines: &[(&str, &str)], last| {
        let mut script = Script::piv(lines);
        let result = with(&mut script, |piv| piv.verify_pin(&Pin::copy_from(b"123456"), last));
        (result, script.ended)
    };
    let reset = vec![After::Reset];
    assert_eq!(verify(&[(TRIES, "63c3"), (VERIFY, "9000")], false), (Ok(()), reset.clone()));
    let wrong = verify(&[(TRIES, "63c3"), (VERIFY, "63c2")], false);
    assert_eq!(wrong, (Err(PivError::PinWrong(2)), reset.clone()));
    let left = vec![After::Leave];
    assert_eq!(verify(&[(TRIES, "63c1")], false), (Err(PivError::LastTry), left.clone()));
    assert_eq!(
        verify(&[(TRIES, "63c1"), (VERIFY, "6983")], true),
        (Err(PivError::PinBlocked), reset.clone())
    );
    assert_eq!(verify(&[(TRIES, "63c1"), (VERIFY, "63c0")], true), (Err(PivError::PinBlocked), reset));
    assert_eq!(verify(&[(TRIES, "63c0")], true), (Err(PivError::PinBlocked), left.clone()));
    assert_eq!(verify(&[(TRIES, "6983")], true), (Err(PivError::PinBlocked), left));
}

#[test]
fn what_can_be_no_pin_is_not_sent() {
    for pin in [&b"123"[..], b"123456789", b"", b"12345\xff"] {
        let mut script = Script::piv(&[]);
        let result = with(&mut script, |piv| piv.verify_pin(&Pin::copy_from(pin), true));
        assert_eq!(result, Err(PivError::NotAPin));
    }
}

#[test]
fn a_key_is_known_by_metadata_or_certificate() {
    let point = PublicKey::ec(Curve::P256, &unhex(P256_POINT)).unwrap();
    let metadata = format!("01011102020203030101{}9000", hex_tlv(4, &hex_tlv(0x86, P256_POINT)));
    let key = with(&mut Script::piv(&[("00f7009d00", &metadata)]), |piv| piv.key(Slot::KEY_MANAGEMENT));
    let (pin_policy, touch_policy) = (Some(PinPolicy::Once), Some(TouchPolicy::Cached));
    let expected = SlotKey { public: point.clone(), pin_policy, touch_policy, generated: Some(true) };
    assert_eq!(key, Ok(Some(expected)));

    let get = "00cb3fff055c035fc10b00";
    let lines = [("00f7009d00", NO_METADATA), (get, &*certificate_object())];
    let key = with(&mut Script::piv(&lines), |piv| piv.key(Slot::KEY_MANAGEMENT)).unwrap().unwrap();
    assert_eq!((key.public, key.pin_policy), (point, None));

    for nothing in ["6a82", "53009000", "530270009000"] {
        let lines = [("00f7009d00", NO_METADATA), (get, nothing)];
        assert_eq!(with(&mut Script::piv(&lines), |piv| piv.key(Slot::KEY_MANAGEMENT)), Ok(None));
    }
    let packed = "530770020102710101fe009000";
    let lines = [("00f7009d00", NO_METADATA), (get, packed)];
    let key = with(&mut Script::piv(&lines), |piv| piv.key(Slot::KEY_MANAGEMENT));
    assert!(key.is_err());
}

/// A point off the curve, a foreign algorithm and nonsense in three slots; the fourth is read.
#[test]
fn one_bad_slot_does_not_hide_the_others() {
    let mut off = P256_POINT.to_owned();
    off.replace_range(128..130, "00");
    let off = format!("010111{}9000", hex_tlv(4, &hex_tlv(0x86, &off)));
    let good = format!("010111{}9000", hex_tlv(4, &hex_tlv(0x86, P256_POINT)));
    let mut lines: Vec<(String, String)> = vec![(SELECT.0.into(), SELECT.1.into())];
    for slot in Slot::all() {
        let answer = match slot.number() {
            0x9d => "0101e104029999 9000".replace(' ', ""),
            0x82 => off.clone(),
            0x83 => "ffff9000".into(),
            0x95 => good.clone(),
            _ => "6a88".into(),
        };
        // A card that knows metadata and has none of a slot has no key there, whatever certificate there may be.
        lines.push((format!("00f700{slot}00"), answer));
    }
    let lines: Vec<_> = lines.iter().map(|(command, answer)| (&**command, &**answer)).collect();
    let keys = with(&mut Script::new(&lines), |piv| piv.keys()).unwrap();
    let found: Vec<_> = keys.iter().map(|(slot, key)| (slot.number(), key.as_ref().err().copied())).collect();
    let foreign = PivError::ForeignAlgorithm { slot: 0x9d, algorithm: 0xe1 };
    let expected =
        [(0x9d, Some(foreign)), (0x82, Some(PivError::InvalidKey)), (0x83, Some(BROKEN)), (0x95, None)];
    assert_eq!(found, expected);
    // A card that goes away is not a slot that cannot be read.
    let gone = with(&mut Script::piv(&[("00f7009d00", "6d00")]), |piv| piv.keys());
    assert_eq!(gone.err(), Some(PivError::Channel(ChannelError::Gone)));
}

#[test]
fn the_card_opens_what_was_sealed_to_its_point() {
    let card = PrivateKey::from_bytes(Curve::P256, &unhex(P256_SCALAR)).unwrap();
    let sealed = PublicKey::ec(Curve::P256, &unhex(P256_POINT)).unwrap().seal(b"").unwrap();
    let x = card.agree(&sealed.capsule).unwrap().with(hex);
    assert_eq!(x, sealed.secret.with(hex));
    let ask = format!("0087119d477c4582008541{}00", hex(&sealed.capsule));
    let open = |answer: &str| {
        let mut script = Script::piv(&[(&ask, answer)]);
        with(&mut script, |piv| {
            let opened = piv.open_sealed(Slot::KEY_MANAGEMENT, Algorithm::EccP256, &sealed.capsule, b"");
            opened.map(|secret| secret.with(hex))
        })
    };
    assert_eq!(open(&format!("7c228220{x}9000")), Ok(x.clone()));
    assert_eq!(open("6982"), Err(PivError::NotVerified));
    assert_eq!(open("6a80"), Err(PivError::Status(Status::WrongData)));
    assert_eq!(open(&format!("7c228220{}9000", "ff".repeat(32))), Err(PivError::InvalidKey));
    assert_eq!(open(&format!("7c21821f{}9000", &x[2..])), Err(PivError::InvalidKey));
    assert_eq!(open(&format!("7c238220{x}9000")), Err(BROKEN));
    assert_eq!(open("7c009000"), Err(PivError::Malformed("a TLV is missing")));
    // A capsule off the curve does not even reach the card.
    let mut bad = sealed.capsule.clone();
    bad[64] ^= 1;
    let refused = with(&mut Script::piv(&[]), |piv| {
        piv.open_sealed(Slot::KEY_MANAGEMENT, Algorithm::EccP256, &bad, b"").err()
    });
    assert_eq!(refused, Some(PivError::InvalidKey));
}

#[test]
fn a_decrypted_rsa_block_is_unpadded() {
    let capsule = [0x5a; 256];
    // The template of 264 bytes goes in two parts.
    let template = format!("7c820106820081820100{}", "5a".repeat(256));
    let (first, second) =
        (format!("1087079dff{}", &template[..510]), format!("0087079d0b{}00", &template[510..]));
    let answer =
        |block: &str| format!("7c82{:04x}8282{:04x}{block}9000", block.len() / 2 + 4, block.len() / 2);
    for (block, expected) in [
        ("00".repeat(256), PivError::InvalidKey),
        ("00".repeat(255), PivError::Malformed("a decrypted block of another length")),
    ] {
        let mut script = Script::piv(&[(&first, "9000"), (&second, &answer(&block))]);
        let opened = with(&mut script, |piv| {
            piv.open_sealed(Slot::KEY_MANAGEMENT, Algorithm::Rsa2048, &capsule, b"label")
        });
        assert_eq!(opened.err(), Some(expected));
    }
}

#[test]
fn a_card_says_who_it_is() {
    let chuid = format!("531a{}3410{}fe009000", "3004d0d0d0d0", "ab".repeat(16));
    let guid = |answer: &str| with(&mut Script::piv(&[("00cb3fff055c035fc10200", answer)]), |piv| piv.guid());
    assert_eq!(guid(&chuid), Ok(Some([0xab; 16])));
    assert_eq!(guid(&chuid.replace("ab", "00")), Ok(None));
    assert_eq!(guid("6a82"), Ok(None));
    let version = with(&mut Script::piv(&[("00fd000000", "0507049000")]), |piv| piv.version());
    assert_eq!(version, Ok(Some(Version([5, 7, 4]))));
    let serial = |answer: &str| with(&mut Script::piv(&[("00f8000000", answer)]), |piv| piv.serial());
    assert_eq!(serial("00bc614e9000"), Ok(Some(12_345_678)));
    assert_eq!(serial("6d00"), Ok(None));
    assert!(serial("bc614e9000").is_err());
    let attested = |answer: &str| {
        with(&mut Script::piv(&[("00f99d0000", answer)]), |piv| piv.attestation(Slot::KEY_MANAGEMENT))
    };
    assert_eq!(attested("3003049000"), Ok(unhex("300304")));
    assert_eq!(attested("6a80"), Err(PivError::Unsupported("attestation of this key")));
}
