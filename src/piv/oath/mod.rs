//! A YubiKey's OATH application (Yubico's YKOATH protocol): accounts whose seeds never leave the token.
#![expect(clippy::wildcard_enum_match_arm, reason = "a refusal that means nothing of its own is passed on")]

mod account;

pub use account::{OathAccount, OathHash, OathKind, OathName};

use super::apdu::{Command, Session};
use super::{PivError, Status, Version, tlv};
use crate::channel::{Card, Patience};
use crate::crypto::{hash, random};
use crate::secret::{OathAccessKey, OtpCode, Pin, TotpSeed};
use account::{algorithm, hash_of, kind};
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

const AID: [u8; 7] = [0xa0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];

const PUT: u8 = 0x01;
const DELETE: u8 = 0x02;
const SET_CODE: u8 = 0x03;
const RENAME: u8 = 0x05;
const LIST: u8 = 0xa1;
const CALCULATE: u8 = 0xa2;
const VALIDATE: u8 = 0xa3;
const CALCULATE_ALL: u8 = 0xa4;
const SEND_REMAINING: u8 = 0xa5;
/// P2 of the two that calculate: the truncated code, not the whole HMAC.
const TRUNCATE: u8 = 0x01;

const NAME: u16 = 0x71;
const LISTED: u16 = 0x72;
const KEY: u16 = 0x73;
const CHALLENGE: u16 = 0x74;
const RESPONSE: u16 = 0x75;
const TRUNCATED: u16 = 0x76;
const HOTP: u16 = 0x77;
const VERSION: u16 = 0x79;
const TOUCH: u16 = 0x7c;
/// A property of PUT, a tag and a byte without a length: touch required.
const TOUCH_REQUIRED: [u8; 2] = [0x78, 0x02];

/// Bytes of the shortest key; shorter ones are filled up with zeros, which HMAC does as well.
const MIN_KEY: usize = 14;
const CHALLENGE_LENGTH: usize = 8;
const ACCESS_KEY: usize = 16;
const ROUNDS: u32 = 1000;
/// The OATH application of a card that is ours alone while this lives.
pub struct Oath<'c> {
    session: Session<'c>,
    version: Version,
    salt: Vec<u8>,
    challenge: Option<Vec<u8>>,
}

/// What CALCULATE ALL says of one account.
pub enum OathAnswer {
    /// Its code for the step that was asked about. Only accounts with [`OathName::period`] of that step mean it.
    Code(OtpCode),
    /// It wants a touch: ask for it by its name.
    NeedsTouch,
    /// It has a counter, which is not moved on by this.
    Hotp,
}

/// A new account.
pub struct NewAccount<'a> {
    /// Its name.
    pub name: &'a OathName,
    /// Its seed.
    pub seed: &'a TotpSeed,
    /// The hash.
    pub hash: OathHash,
    /// Digits of a code, 6 to 8.
    pub digits: u8,
    /// Whether each code wants a touch.
    pub touch: bool,
}

impl<'c> Oath<'c> {
    /// Takes the card and selects the application.
    ///
    /// # Errors
    /// [`PivError::NoApplication`], [`PivError::Malformed`], [`PivError::Channel`].
    pub fn open(card: &'c mut dyn Card, patience: &'c Patience) -> Result<Self, PivError> {
        let mut session = Session::begin(card, patience)?;
        let answer = session.select(&AID, "OATH")?;
        session.ask_rest_by(SEND_REMAINING);
        let version = tlv::find(&answer, VERSION)?.try_into().map(Version);
        let version = version.map_err(|_length| PivError::Malformed("a version of another length"))?;
        let challenge = tlv::find_optional(&answer, CHALLENGE)?.map(<[u8]>::to_vec);
        Ok(Self { session, version, salt: tlv::find(&answer, NAME)?.to_vec(), challenge })
    }

    /// The version of the application.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the application calls itself: random, new after each reset of it. The salt of its access key.
    pub fn device_id(&self) -> &[u8] {
        &self.salt
    }

    /// Whether the access key has to be given first.
    pub fn is_locked(&self) -> bool {
        self.challenge.is_some()
    }

    /// The access key that a password is: PBKDF2-HMAC-SHA-1 (RFC 8018 section 5.2), 1000 rounds, 16 bytes.
    pub fn access_key(&self, password: &Pin) -> OathAccessKey {
        // One block of the hash is more than is needed, so the counter stays at 1.
        let mut block = password.with(|password| hmac_sha1(password, &[&self.salt, &[0, 0, 0, 1]]));
        let mut sum = block.clone();
        for _ in 1..ROUNDS {
            block = password.with(|password| hmac_sha1(password, &[&*block]));
            sum.iter_mut().zip(block.iter()).for_each(|(sum, byte)| *sum ^= byte);
        }
        OathAccessKey::fill(ACCESS_KEY, |key| {
            key.iter_mut().zip(sum.iter()).for_each(|(to, from)| *to = *from);
        })
    }

    /// Gives the access key, and sees to it that the token knows it as well. Does nothing where there is none. The
    /// token is reset when it is let go, so that no other program finds it open.
    ///
    /// # Errors
    /// [`PivError::AccessKeyWrong`], [`PivError::Impostor`], [`PivError::Random`], [`PivError::Channel`].
    pub fn validate(&mut self, key: &OathAccessKey) -> Result<(), PivError> {
        let Some(theirs) = &self.challenge else { return Ok(()) };
        let ours = random::public::<CHALLENGE_LENGTH>().map_err(|_none| PivError::Random)?;
        let response = key.with(|key| hmac_sha1(key, &[theirs]));
        let mut data = tlv::build(RESPONSE, &[&*response])?;
        tlv::append(&mut data, CHALLENGE, &[&ours])?;
        self.session.reset_after();
        let answer = match self.command(VALIDATE, 0, &data, true)? {
            (Status::Success, answer) => answer,
            (Status::WrongData | Status::SecurityStatus, _) => return Err(PivError::AccessKeyWrong),
            (refused, _) => return Err(refused.into()),
        };
        let proof = key.with(|key| hmac_sha1(key, &[&ours]));
        if !hash::equal(tlv::find(&answer, RESPONSE)?, &*proof) {
            return Err(PivError::Impostor);
        }
        self.challenge = None;
        Ok(())
    }

    /// Sets the access key, or another one.
    ///
    /// # Errors
    /// [`PivError::AccessKeyNeeded`], [`PivError::Random`], [`PivError::Channel`].
    pub fn set_access_key(&mut self, key: &OathAccessKey) -> Result<(), PivError> {
        let challenge = random::public::<CHALLENGE_LENGTH>().map_err(|_none| PivError::Random)?;
        // The token checks that both sides mean the same key.
        let response = key.with(|key| hmac_sha1(key, &[&challenge]));
        let mut data = Zeroizing::new(Vec::with_capacity(64));
        key.with(|key| tlv::append(&mut data, KEY, &[&[algorithm(OathKind::Totp, OathHash::Sha1)], key]))?;
        tlv::append(&mut data, CHALLENGE, &[&challenge])?;
        tlv::append(&mut data, RESPONSE, &[&*response])?;
        self.session.reset_after();
        self.done(SET_CODE, &data)
    }

    /// Takes the access key away: whoever has the token has its codes.
    ///
    /// # Errors
    /// [`PivError::AccessKeyNeeded`], [`PivError::Channel`].
    pub fn unset_access_key(&mut self) -> Result<(), PivError> {
        self.done(SET_CODE, &tlv::build(KEY, &[])?)
    }

    /// All accounts. Whether they want a touch is said by [`Self::calculate_all`] alone.
    ///
    /// # Errors
    /// [`PivError::AccessKeyNeeded`], [`PivError::Malformed`], [`PivError::Channel`].
    pub fn list(&mut self) -> Result<Vec<OathAccount>, PivError> {
        let answer = self.answer(LIST, 0, &[])?;
        let mut reader = tlv::Reader::new(&answer);
        let mut accounts = Vec::new();
        while !reader.is_empty() {
            let Some((algorithm, name)) = reader.expect(LISTED)?.split_first() else {
                return Err(PivError::Malformed("an OATH account without a name"));
            };
            // One that we do not know must not hide the others.
            if let (Some(kind), Some(hash), Ok(name)) =
                (kind(*algorithm), hash_of(*algorithm), OathName::new(name))
            {
                accounts.push(OathAccount { name, kind, hash });
            }
        }
        Ok(accounts)
    }

    /// The code of one account for a step (Unix time by [`OathName::period`]); of an account with a counter its next
    /// one, whatever the step. May wait for a touch.
    ///
    /// # Errors
    /// [`PivError::NoAccount`], [`PivError::AccessKeyNeeded`], [`PivError::NotVerified`] (not touched in time),
    /// [`PivError::Malformed`], [`PivError::Channel`].
    pub fn calculate(&mut self, name: &OathName, step: u64) -> Result<OtpCode, PivError> {
        let mut data = tlv::build(NAME, &[name.bytes()])?;
        tlv::append(&mut data, CHALLENGE, &[&step.to_be_bytes()])?;
        // Without the access key the application was not to be asked in the first place.
        let answer = match self.unlocked()?.command(CALCULATE, TRUNCATE, &data, true)? {
            (Status::Success, answer) => answer,
            (Status::SecurityStatus | Status::Conditions, _) => return Err(PivError::NotVerified),
            (refused, _) => return Err(meaning(refused)),
        };
        code(tlv::only(&answer, TRUNCATED)?)
    }

    /// The codes of all accounts for a step.
    ///
    /// # Errors
    /// [`PivError::AccessKeyNeeded`], [`PivError::Malformed`], [`PivError::Channel`].
    pub fn calculate_all(&mut self, step: u64) -> Result<Vec<(OathName, OathAnswer)>, PivError> {
        let answer = self.answer(CALCULATE_ALL, TRUNCATE, &tlv::build(CHALLENGE, &[&step.to_be_bytes()])?)?;
        let mut reader = tlv::Reader::new(&answer);
        let mut answers = Vec::new();
        while !reader.is_empty() {
            let name = reader.expect(NAME)?;
            let said = reader.element()?;
            let answer = match said.tag {
                TRUNCATED => OathAnswer::Code(code(said.value)?),
                TOUCH => OathAnswer::NeedsTouch,
                HOTP => OathAnswer::Hotp,
                _ => return Err(PivError::Malformed("an OATH answer of another kind")),
            };
            answers.push((
                OathName::new(name).or(Err(PivError::Malformed("an OATH name of no length")))?,
                answer,
            ));
        }
        Ok(answers)
    }

    /// Adds an account with time steps. The token would silently overwrite one of the same name: it is looked for
    /// first.
    ///
    /// # Errors
    /// [`PivError::AccountTaken`], [`PivError::Full`], [`PivError::Unsupported`], [`PivError::AccessKeyNeeded`],
    /// [`PivError::Channel`].
    pub fn put(&mut self, new: &NewAccount<'_>) -> Result<(), PivError> {
        if !(6..=8).contains(&new.digits) {
            return Err(PivError::Unsupported("an OATH code that has not 6 to 8 digits"));
        }
        if self.has(new.name)? {
            return Err(PivError::AccountTaken);
        }
        let key = new.seed.with(|seed| shortened(seed, new.hash));
        let mut data = Zeroizing::new(Vec::with_capacity(512));
        tlv::append(&mut data, NAME, &[new.name.bytes()])?;
        tlv::append(&mut data, KEY, &[&[algorithm(OathKind::Totp, new.hash), new.digits], &key])?;
        if new.touch {
            data.extend(TOUCH_REQUIRED);
        }
        self.done(PUT, &data)
    }

    /// Renames an account (firmware 5.3.1). A name that is taken is refused, as in [`Self::put`].
    ///
    /// # Errors
    /// [`PivError::NoAccount`], [`PivError::AccountTaken`], [`PivError::Unsupported`],
    /// [`PivError::AccessKeyNeeded`], [`PivError::Channel`].
    pub fn rename(&mut self, from: &OathName, to: &OathName) -> Result<(), PivError> {
        if self.has(to)? {
            return Err(PivError::AccountTaken);
        }
        let mut data = tlv::build(NAME, &[from.bytes()])?;
        tlv::append(&mut data, NAME, &[to.bytes()])?;
        self.done(RENAME, &data)
    }

    /// Removes an account; its seed is lost.
    ///
    /// # Errors
    /// [`PivError::NoAccount`], [`PivError::AccessKeyNeeded`], [`PivError::Channel`].
    pub fn delete(&mut self, name: &OathName) -> Result<(), PivError> {
        self.done(DELETE, &tlv::build(NAME, &[name.bytes()])?)
    }

    fn has(&mut self, name: &OathName) -> Result<bool, PivError> {
        Ok(self.list()?.iter().any(|account| account.name == *name))
    }

    fn unlocked(&mut self) -> Result<&mut Self, PivError> {
        if self.is_locked() { Err(PivError::AccessKeyNeeded) } else { Ok(self) }
    }

    fn done(&mut self, ins: u8, data: &[u8]) -> Result<(), PivError> {
        match self.unlocked()?.command(ins, 0, data, false)?.0 {
            Status::Success => Ok(()),
            refused => Err(meaning(refused)),
        }
    }

    fn answer(&mut self, ins: u8, p2: u8, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, PivError> {
        match self.unlocked()?.command(ins, p2, data, true)? {
            (Status::Success, answer) => Ok(answer),
            (refused, _) => Err(meaning(refused)),
        }
    }

    fn command(
        &mut self,
        ins: u8,
        p2: u8,
        data: &[u8],
        answered: bool,
    ) -> Result<(Status, Zeroizing<Vec<u8>>), PivError> {
        self.session.exchange(&Command { ins, p1: 0, p2, data, answered })
    }
}

fn meaning(refused: Status) -> PivError {
    match refused {
        Status::SecurityStatus => PivError::AccessKeyNeeded,
        Status::ReferenceUnusable | Status::NotFound | Status::NoReference => PivError::NoAccount,
        Status::Full => PivError::Full,
        Status::NotSupported => PivError::Unsupported("this OATH command"),
        other => other.into(),
    }
}

/// The number of digits and 31 bits, as a code.
fn code(truncated: &[u8]) -> Result<OtpCode, PivError> {
    let [digits @ 6..=8, number @ ..] = truncated else {
        return Err(PivError::Malformed("an OATH code that has not 6 to 8 digits"));
    };
    let number =
        <[u8; 4]>::try_from(number).map_err(|_length| PivError::Malformed("an OATH code of no number"))?;
    let mut number = u32::from_be_bytes(number) & 0x7fff_ffff;
    Ok(OtpCode::fill(usize::from(*digits), |code| {
        for digit in code.iter_mut().rev() {
            *digit = b"0123456789".get((number % 10) as usize).copied().unwrap_or_default();
            number /= 10;
        }
    }))
}

/// RFC 2104: a key longer than a block is hashed. The token leaves that to us.
fn shortened(seed: &[u8], hash: OathHash) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(seed.len().max(64)));
    match hash {
        OathHash::Sha1 if seed.len() > 64 => key.extend_from_slice(&Sha1::digest(seed)),
        OathHash::Sha256 if seed.len() > 64 => key.extend_from_slice(&Sha256::digest(seed)),
        OathHash::Sha512 if seed.len() > 128 => key.extend_from_slice(&Sha512::digest(seed)),
        OathHash::Sha1 | OathHash::Sha256 | OathHash::Sha512 => key.extend_from_slice(seed),
    }
    let length = key.len().max(MIN_KEY);
    key.resize(length, 0);
    key
}

fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 20]> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 section 2)")]
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}
