//! The OATH and OTP applications, byte for byte.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the path of a method names one lifetime, not any"
)]

use super::super::*;
use super::{Script, patience};
use crate::channel::{After, Card, ChannelError, Patience};
use crate::crypto::hash::hex;
use crate::secret::{OathAccessKey, OtpCode, Pin, TotpSeed};
use hmac::{Hmac, KeyInit, Mac};

const SELECT: &str = "00a4040007a000000527210100";
/// Version 5.7.4, a salt; the second with a challenge.
const OPEN: &str = "7903050704710812345678123456789000";
const LOCKED: &str = "790305070471081234567812345678740801020304050607089000";
const OTP: &str = "00a4040007a000000527200100";

fn with<R>(lines: &[(&str, &str)], run: impl FnOnce(&mut Oath<'_>) -> R) -> R {
    let lines = [&[(SELECT, OPEN)], lines].concat();
    let mut script = Script::new(&lines);
    let patience = patience();
    let mut oath = Oath::open(&mut script, &patience).unwrap();
    let result = run(&mut oath);
    drop(oath);
    assert!(script.is_done(), "all was asked for");
    result
}

fn name(text: &str) -> OathName {
    OathName::new(text.as_bytes()).unwrap()
}

fn digits(code: &OtpCode) -> String {
    code.with(|code| String::from_utf8(code.to_vec()).unwrap())
}

#[test]
fn names_carry_their_period() {
    let sixty = OathName::with_period("AWS:root", 60).unwrap();
    assert_eq!(
        (sixty.bytes(), sixty.period(), sixty.text()),
        (&b"60/AWS:root"[..], 60, "AWS:root".to_owned())
    );
    assert_eq!(OathName::with_period("a", 30).unwrap(), name("a"));
    for (odd, period) in
        [("60", 30), ("60/", 30), ("0/a", 30), ("/a", 30), ("99999999999/a", 30), ("07/a", 7)]
    {
        assert_eq!(name(odd).period(), period, "{odd}");
    }
    assert!(OathName::new(&[0; 65]).is_err() && OathName::new(&[]).is_err());
}

#[test]
fn accounts_are_listed_in_parts_and_kinds_told_apart() {
    let lines = [("00a1000000", "720421414141610a"), ("00a500000a", "720511414243449000")];
    let accounts = with(&lines, |oath| oath.list()).unwrap();
    let found: Vec<_> = accounts.iter().map(|one| (one.name.text(), one.kind, one.hash)).collect();
    let expected = [
        ("AAA".to_owned(), OathKind::Totp, OathHash::Sha1),
        ("ABCD".to_owned(), OathKind::Hotp, OathHash::Sha1),
    ];
    assert_eq!(found[..2], expected);
    // An unknown hash does not hide the others.
    let accounts =
        with(&[("00a1000000", "72022f417202214272 0121 9000".replace(' ', "").as_str())], |oath| oath.list());
    assert_eq!(accounts.unwrap().len(), 1);
    assert_eq!(with(&[("00a1000000", "9000")], |oath| oath.list()), Ok(vec![]));
    assert!(with(&[("00a1000000", "72009000")], |oath| oath.list()).is_err());
}

#[test]
fn codes_are_calculated() {
    let calculate = |answer: &str| {
        let ask = "00a200010d7101617408000000000000000100";
        with(&[(ask, answer)], |oath| oath.calculate(&name("a"), 1).map(|code| digits(&code)))
    };
    // RFC 4226 appendix D, counter 1: the truncated number is 4137.
    assert_eq!(calculate("76050641397eea9000"), Ok("287082".to_owned()));
    assert_eq!(calculate("760508c1397eea9000"), Ok("94287082".to_owned()));
    assert_eq!(calculate("6984"), Err(PivError::NoAccount));
    assert_eq!(calculate("6982"), Err(PivError::NotVerified));
    for bad in ["76050541397eea9000", "76050941397eea9000", "76040641397e9000", "76009000", "9000"] {
        assert!(matches!(calculate(bad), Err(PivError::Malformed(_))), "{bad}");
    }
    let all = with(
        &[(
            "00a400010a7408000000000000000100",
            "71016176050641397eea71016277010671016 37c01069000".replace(' ', "").as_str(),
        )],
        |oath| oath.calculate_all(1),
    );
    let said: Vec<_> = all
        .unwrap()
        .into_iter()
        .map(|(name, answer)| match answer {
            OathAnswer::Code(code) => (name.text(), digits(&code)),
            OathAnswer::NeedsTouch => (name.text(), "touch".to_owned()),
            OathAnswer::Hotp => (name.text(), "counter".to_owned()),
        })
        .collect();
    let expected = [("a", "287082"), ("b", "counter"), ("c", "touch")];
    assert_eq!(said, expected.map(|(name, answer)| (name.to_owned(), answer.to_owned())));
    let odd =
        with(&[("00a400010a7408000000000000000100", "71016175009000")], |oath| oath.calculate_all(1).err());
    assert!(odd.is_some());
}

#[test]
fn an_account_is_put_once() {
    let seed = TotpSeed::copy_from(b"12345678901234567890");
    let put = |lines: &[(&str, &str)], touch| {
        with(lines, |oath| {
            let (name, hash) = (name("a"), OathHash::Sha1);
            oath.put(&NewAccount { name: &name, seed: &seed, hash, digits: 6, touch })
        })
    };
    let key = "3132333435363738393031323334353637383930";
    let (plain, touched) =
        (format!("000100001b71016173162106{key}"), format!("000100001d71016173162106{key}7802"));
    assert_eq!(put(&[("00a1000000", "9000"), (&plain, "9000")], false), Ok(()));
    assert_eq!(put(&[("00a1000000", "9000"), (&touched, "9000")], true), Ok(()));
    assert_eq!(
        put(&[("00a1000000", "7202216 19000".replace(' ', "").as_str())], false),
        Err(PivError::AccountTaken)
    );
    assert_eq!(put(&[("00a1000000", "9000"), (&plain, "6a84")], false), Err(PivError::Full));
}

#[test]
fn long_seeds_are_hashed_and_short_ones_filled() {
    let put = |seed: &[u8], hash, key: &str| {
        let data = format!("{:02x}7101617 3{:02x}{key}", key.len() / 2 + 5, key.len() / 2).replace(' ', "");
        let lines = [("00a1000000", "9000"), (&*format!("00010000{data}"), "9000")];
        with(&lines, |oath| {
            let seed = TotpSeed::copy_from(seed);
            oath.put(&NewAccount { name: &name("a"), seed: &seed, hash, digits: 8, touch: false })
        })
        .unwrap();
    };
    put(b"\x01", OathHash::Sha256, &format!("220801{}", "00".repeat(13)));
    // SHA-1 of 65 bytes `a`.
    put(&[b'a'; 65], OathHash::Sha1, &format!("2108{}", "11655326c708d70319be2610e8a57d9a5b959d3b"));
    put(&[b'a'; 64], OathHash::Sha1, &format!("2108{}", "61".repeat(64)));
}

#[test]
fn accounts_are_renamed_and_removed() {
    let rename = |lines: &[(&str, &str)]| with(lines, |oath| oath.rename(&name("a"), &name("b")));
    assert_eq!(rename(&[("00a1000000", "9000"), ("0005000006710161710162", "9000")]), Ok(()));
    assert_eq!(rename(&[("00a1000000", "720221629000")]), Err(PivError::AccountTaken));
    assert_eq!(
        rename(&[("00a1000000", "9000"), ("0005000006710161710162", "6984")]),
        Err(PivError::NoAccount)
    );
    let delete = |answer| with(&[("0002000003710161", answer)], |oath| oath.delete(&name("a")));
    assert_eq!((delete("9000"), delete("6984")), (Ok(()), Err(PivError::NoAccount)));
    let unset = with(&[("00030000027300", "9000")], |oath| oath.unset_access_key());
    assert_eq!(unset, Ok(()));
    let key = OathAccessKey::copy_from(&[7; 16]);
    let mut set = format!("0003000033731121{}7408", "07".repeat(16));
    set.push('*');
    assert_eq!(with(&[(&set, "9000")], |oath| oath.set_access_key(&key)), Ok(()));
}

/// A token with an access key, which it proves to know if it is honest.
struct Locked {
    key: Vec<u8>,
    honest: bool,
    open: bool,
    ended: Vec<After>,
}

impl Locked {
    fn mac(&self, challenge: &[u8]) -> Vec<u8> {
        let mut mac = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(&self.key).unwrap();
        mac.update(challenge);
        mac.finalize().into_bytes().to_vec()
    }
}

impl Card for Locked {
    fn begin(&mut self, _patience: &Patience) -> Result<(), ChannelError> {
        Ok(())
    }

    fn transmit(&mut self, command: &[u8], _patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        Ok(match command[1] {
            0xa4 => super::unhex(LOCKED),
            0xa3 => {
                let data = &command[5..command.len() - 1];
                let right = tlv::find(data, 0x75).unwrap() == self.mac(&[1, 2, 3, 4, 5, 6, 7, 8]);
                let mut proof = self.mac(tlv::find(data, 0x74).unwrap());
                proof[0] ^= u8::from(!self.honest);
                if !right {
                    return Ok(vec![0x6a, 0x80]);
                }
                self.open = true;
                [tlv::build(0x75, &[&proof]).unwrap(), vec![0x90, 0x00]].concat()
            }
            _ if self.open => vec![0x90, 0x00],
            _ => vec![0x69, 0x82],
        })
    }

    fn end(&mut self, after: After) {
        self.ended.push(after);
    }
}

#[test]
fn an_access_key_opens_the_token_and_the_token_proves_it() {
    let patience = patience();
    // PBKDF2-HMAC-SHA-1 of `password` and the salt 1234567812345678, by Python's hashlib.
    let key = "c2f3e37d1bfc97da1acb906e7a3d5c66";
    let mut token = Locked { key: super::unhex(key), honest: true, open: false, ended: vec![] };
    let mut oath = Oath::open(&mut token, &patience).unwrap();
    assert!(oath.is_locked());
    assert_eq!(oath.list(), Err(PivError::AccessKeyNeeded));
    let wrong = oath.access_key(&Pin::copy_from(b"passwort"));
    assert_eq!(oath.validate(&wrong), Err(PivError::AccessKeyWrong));
    let right = oath.access_key(&Pin::copy_from(b"password"));
    assert_eq!(right.with(hex), key);
    assert_eq!(oath.validate(&right), Ok(()));
    assert!(!oath.is_locked());
    assert_eq!(oath.list(), Ok(vec![]));
    drop(oath);
    assert_eq!(token.ended, [After::Reset]);

    token.honest = false;
    let mut oath = Oath::open(&mut token, &patience).unwrap();
    assert_eq!(oath.validate(&right), Err(PivError::Impostor));
    assert!(oath.is_locked(), "who cannot prove it gets nothing");
}

#[test]
fn a_challenge_is_answered_by_hmac() {
    let ask = |slot, challenge: &[u8], command: &str, answer: &str| {
        let mut script =
            Script::new(&[(OTP, "05070403 0f00 9000".replace(' ', "").as_str()), (command, answer)]);
        let patience = patience();
        let mut otp = OtpCard::open(&mut script, &patience).unwrap();
        assert!(otp.status().is_configured(OtpSlot::One) && otp.status().needs_touch(OtpSlot::Two));
        otp.challenge_response(slot, challenge).map(|secret| secret.with(hex))
    };
    let (mac, zeros, ones) = ("ab".repeat(20), "00".repeat(62), "01".repeat(62));
    let good = format!("{mac}9000");
    assert_eq!(
        ask(
            OtpSlot::One,
            &[5, 6],
            &format!("01300040 0506{zeros}00").replace(' ', "").replacen("0130", "000130", 1),
            &good
        ),
        Ok(mac.clone())
    );
    assert_eq!(ask(OtpSlot::Two, &[5, 0], &format!("00013800400500{ones}00"), &good), Ok(mac));
    let refused = |answer: &str| ask(OtpSlot::One, &[5, 6], "00013000*", answer);
    let none = PivError::Unsupported("challenge-response in this OTP slot");
    assert_eq!((refused("9000"), refused("6a80")), (Err(none), Err(none)));
    assert_eq!(refused("6985"), Err(PivError::NotVerified));
    assert_eq!(refused("ab9000"), Err(PivError::Malformed("an OTP answer of another length")));
    let patience = patience();
    let mut script = Script::new(&[(OTP, "0507040300009000"), ("0001100000", "00bc614e9000")]);
    let mut otp = OtpCard::open(&mut script, &patience).unwrap();
    assert!(!otp.status().is_configured(OtpSlot::One) && !otp.status().needs_touch(OtpSlot::One));
    assert_eq!(otp.serial(), Ok(Some(12_345_678)));
    for length in [0, 64, 100] {
        let refused = otp.challenge_response(OtpSlot::One, &vec![1; length]);
        assert!(matches!(refused, Err(PivError::Unsupported(_))));
    }
    for short in ["9000", "05079000", "05070403009000"] {
        let mut script = Script::new(&[(OTP, short)]);
        assert!(matches!(OtpCard::open(&mut script, &patience), Err(PivError::Malformed(_))));
    }
}
