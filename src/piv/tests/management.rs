//! The management key, and what it allows.

use super::super::*;
use super::{P256_POINT, SELECT, Script, patience, unhex};
use crate::channel::{After, Card, ChannelError, Patience};
use crate::crypto::ecdh::Curve;
use crate::crypto::hash::hex;
use crate::secret::ManagementKey;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// The key that every card comes with.
const DEFAULT: &str = "010203040506070801020304050607080102030405060708";

/// Does the card's part of the mutual authentication: it draws `witness` and shows that it knows the key.
struct Authenticating<C> {
    cipher: C,
    number: u8,
    metadata: Option<u8>,
    witness: Vec<u8>,
    honest: bool,
    ended: Vec<After>,
}

impl<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + Send> Authenticating<C> {
    fn new(key: &str, number: u8, metadata: bool) -> Self {
        let cipher = C::new_from_slice(&unhex(key)).unwrap();
        let witness = vec![0x77; if number == 3 { 8 } else { 16 }];
        Self { cipher, number, metadata: metadata.then_some(number), witness, honest: true, ended: vec![] }
    }

    fn run(&self, bytes: &[u8], encrypt: bool) -> Vec<u8> {
        let mut block = Array::<u8, C::BlockSize>::try_from(bytes).unwrap();
        if encrypt {
            self.cipher.encrypt_block(&mut block);
        } else {
            self.cipher.decrypt_block(&mut block);
        }
        block.to_vec()
    }

    fn answer(&self, command: &[u8]) -> Vec<u8> {
        let head = [0x00, 0x87, self.number, 0x9b];
        if command[..4] != head {
            return match (self.metadata, &hex(command)[..8]) {
                (_, "00a40400") => unhex(SELECT.1),
                (Some(number), "00f7009b") => unhex(&format!("0101{number:02x}0202ff010501019000")),
                (None, _) => vec![0x6d, 0x00],
                (_, other) => panic!("{other}"),
            };
        }
        let template = tlv::only(&command[5..command.len() - 1], 0x7c).unwrap();
        let reply = |tag, value: &[u8]| {
            let inner = tlv::build(tag, &[value]).unwrap();
            [tlv::build(0x7c, &[&inner]).unwrap(), vec![0x90, 0x00]].concat()
        };
        match (tlv::find(template, 0x80).unwrap(), tlv::find_optional(template, 0x81).unwrap()) {
            ([], None) => reply(0x80, &self.run(&self.witness, true)),
            (witness, Some(challenge)) if witness == self.witness => {
                let mut proof = self.run(challenge, true);
                proof[0] ^= u8::from(!self.honest);
                reply(0x82, &proof)
            }
            _ => vec![0x69, 0x82],
        }
    }
}

impl<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + Send> Card for Authenticating<C> {
    fn begin(&mut self, _patience: &Patience) -> Result<(), ChannelError> {
        Ok(())
    }

    fn transmit(&mut self, command: &[u8], _patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        Ok(self.answer(command))
    }

    fn end(&mut self, after: After) {
        self.ended.push(after);
    }
}

fn authenticate(card: &mut dyn Card, key: &str) -> Result<(), PivError> {
    let patience = patience();
    Piv::open(card, &patience).unwrap().authenticate_management(&ManagementKey::copy_from(&unhex(key)))
}

#[test]
fn every_cipher_is_authenticated_both_ways() {
    let (short, long) = (&DEFAULT[..32], format!("{DEFAULT}{}", &DEFAULT[..16]));
    for named in [true, false] {
        let mut card = Authenticating::<des::TdesEde3>::new(DEFAULT, 0x03, named);
        assert_eq!(authenticate(&mut card, DEFAULT), Ok(()));
        assert_eq!(card.ended, [After::Reset]);
        assert_eq!(authenticate(&mut Authenticating::<aes::Aes128>::new(short, 0x08, named), short), Ok(()));
        assert_eq!(authenticate(&mut Authenticating::<aes::Aes256>::new(&long, 0x0c, named), &long), Ok(()));
    }
    assert_eq!(authenticate(&mut Authenticating::<aes::Aes192>::new(DEFAULT, 0x0a, true), DEFAULT), Ok(()));
}

#[test]
fn a_wrong_key_and_a_card_that_does_not_know_it_are_told_apart() {
    let other = DEFAULT.replace("01", "f1");
    let mut card = Authenticating::<aes::Aes192>::new(DEFAULT, 0x0a, true);
    assert_eq!(authenticate(&mut card, &other), Err(PivError::ManagementKeyWrong));
    assert_eq!(authenticate(&mut card, &DEFAULT[..32]), Err(PivError::ManagementKeyWrong));
    assert_eq!(authenticate(&mut card, "0102"), Err(PivError::ManagementKeyWrong));
    card.honest = false;
    assert_eq!(authenticate(&mut card, DEFAULT), Err(PivError::Impostor));
}

#[test]
fn ykmans_protected_key_is_found() {
    let protected = |noted: &str, printed: &[(&str, &str)]| {
        let mut script = Script::piv(&[&[("00cb3fff055c035fff0000", noted)], printed].concat());
        let patience = patience();
        let key = Piv::open(&mut script, &patience).unwrap().protected_management_key();
        assert!(script.is_done());
        key.map(|key| key.map(|key| key.with(hex)))
    };
    let printed = "00cb3fff055c035fc10900";
    let stored = format!("531c881a8918{DEFAULT}9000");
    assert_eq!(protected("530580038101029000", &[(printed, &stored)]), Ok(Some(DEFAULT.to_owned())));
    assert_eq!(protected("530580038101029000", &[(printed, "6982")]), Err(PivError::NotVerified));
    assert_eq!(protected("530580038101029000", &[(printed, "6a82")]), Ok(None));
    assert_eq!(protected("530580038101019000", &[]), Ok(None));
    assert_eq!(protected("6a82", &[]), Ok(None));
    let derived = PivError::Unsupported("a management key that is derived from the PIN");
    assert_eq!(protected("530680048202aaaa9000", &[]), Err(derived));
    let short = PivError::Malformed("a management key of another length");
    assert_eq!(protected("530580038101029000", &[(printed, "530588038901019000")]), Err(short));
}

#[test]
fn a_key_is_made_where_none_is() {
    let generate = |lines: &[(&str, &str)], policies, replace| {
        let mut script = Script::piv(lines);
        let patience = patience();
        let key = Piv::open(&mut script, &patience).unwrap().generate(
            Slot::new(0x82).unwrap(),
            Algorithm::EccP256,
            policies,
            replace,
        );
        assert!(script.is_done());
        key
    };
    let made = format!("7f49438641{P256_POINT}9000");
    let empty = [("00f7008200", "6d00"), ("00cb3fff055c035fc10d00", "6a82")];
    let plain = [&empty[..], &[("0047008205ac0380011100", &made)]].concat();
    let expected = PublicKey::ec(Curve::P256, &unhex(P256_POINT)).unwrap();
    assert_eq!(generate(&plain, None, false), Ok(expected.clone()));
    let policies = Some(Policies { pin: PinPolicy::Once, touch: TouchPolicy::Always });
    let asked = [("004700820bac09800111aa0102ab010200", &*made)];
    assert_eq!(generate(&asked, policies, true).as_ref(), Ok(&expected));
    // What is there, and what may be there, stays.
    for there in ["6a80", "5302ffff9000"] {
        let lines = [("00f7008200", "6d00"), ("00cb3fff055c035fc10d00", there)];
        assert_eq!(generate(&lines, None, false), Err(PivError::SlotTaken(0x82)));
    }
    // A certificate without a key, too.
    let lines = [("00f7008200", "6a88"), ("00cb3fff055c035fc10d00", "5302ffff9000")];
    assert_eq!(generate(&lines, None, false), Err(PivError::SlotTaken(0x82)));
    let none =
        [("00f7008200", "6a88"), ("00cb3fff055c035fc10d00", "6a82"), ("0047008205ac0380011100", &*made)];
    assert_eq!(generate(&none, None, false).as_ref(), Ok(&expected));
    let refused = |answer| generate(&[("0047008205ac0380011100", answer)], None, true);
    assert_eq!(refused("6982"), Err(PivError::NotVerified));
    assert_eq!(refused("6a80"), Err(PivError::Unsupported("a key of this kind in this slot")));
    let off = made.replace("98", "99");
    assert_eq!(refused(&off), Err(PivError::InvalidKey));
    let mut gone = Script::piv(&[("00f7008200", "6d00")]);
    let patience = patience();
    let key = Piv::open(&mut gone, &patience).unwrap().generate(
        Slot::new(0x82).unwrap(),
        Algorithm::EccP256,
        None,
        false,
    );
    assert_eq!(key, Err(PivError::Channel(ChannelError::Gone)));
}

#[test]
fn a_certificate_is_put_beside_its_key() {
    let put = "00db3fff135c035fc10b530c7005aabbccddee710100fe00";
    for (answer, expected) in
        [("9000", Ok(())), ("6982", Err(PivError::NotVerified)), ("6a84", Err(PivError::Full))]
    {
        let mut script = Script::piv(&[(put, answer)]);
        let patience = patience();
        let mut piv = Piv::open(&mut script, &patience).unwrap();
        assert_eq!(piv.put_certificate(Slot::KEY_MANAGEMENT, &unhex("aabbccddee")), expected);
    }
}
