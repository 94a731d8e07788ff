//! A YubiKey's OTP application over CCID: HMAC-SHA-1 of a challenge (RFC 2104), by a key in one of its two slots.
//! There is no PIN: whoever holds the token has the answer.

use super::apdu::{Command, Session};
use super::{PivError, Status, Version};
use crate::channel::{Card, Patience};
use crate::secret::TokenSecret;

const AID: [u8; 7] = [0xa0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];
const API_REQUEST: u8 = 0x01;
const SERIAL: u8 = 0x10;
/// Bytes of a challenge as the token takes it.
const CHALLENGE: usize = 64;
const RESPONSE: usize = 20;

/// One of the two configurations of a YubiKey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtpSlot {
    /// A short touch.
    One,
    /// A long touch.
    Two,
}

/// The OTP application of a card that is ours alone while this lives.
pub struct Otp<'c> {
    session: Session<'c>,
    version: Version,
    flags: [u8; 2],
}

impl<'c> Otp<'c> {
    /// Takes the card and selects the application.
    ///
    /// # Errors
    /// [`PivError::NoApplication`], [`PivError::Malformed`], [`PivError::Channel`].
    pub fn open(card: &'c mut dyn Card, patience: &'c Patience) -> Result<Self, PivError> {
        let mut session = Session::begin(card, patience)?;
        let status = session.select(&AID, "OTP")?;
        // Version, programming sequence, touch level (little-endian); newer firmware may say more.
        let [major, minor, patch, _sequence, low, high, ..] = status.as_slice() else {
            return Err(PivError::Malformed("an OTP status that is too short"));
        };
        Ok(Self { version: Version([*major, *minor, *patch]), flags: [*low, *high], session })
    }

    /// The version of the firmware.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether something, perhaps not a challenge-response key, is in the slot.
    pub fn is_configured(&self, slot: OtpSlot) -> bool {
        let [low, _] = self.flags;
        low & if slot == OtpSlot::One { 0x01 } else { 0x02 } != 0
    }

    /// Whether the slot wants a touch; firmware before 3.0 does not say.
    pub fn needs_touch(&self, slot: OtpSlot) -> bool {
        let [low, _] = self.flags;
        low & if slot == OtpSlot::One { 0x04 } else { 0x08 } != 0
    }

    /// The serial number, if the token may tell it.
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Malformed`].
    pub fn serial(&mut self) -> Result<Option<u32>, PivError> {
        let command = Command { ins: API_REQUEST, p1: SERIAL, p2: 0, data: &[], answered: true };
        let (Status::Success, answer) = self.session.exchange(&command)? else { return Ok(None) };
        if answer.is_empty() {
            return Ok(None);
        }
        let serial = <[u8; 4]>::try_from(answer.as_slice());
        serial.map(|serial| Some(u32::from_be_bytes(serial))).map_err(|_length| MALFORMED)
    }

    /// HMAC-SHA-1 of a challenge of 1 to 63 bytes: 20 bytes. May wait for a touch.
    ///
    /// # Errors
    /// [`PivError::Unsupported`] if the slot holds no such key; [`PivError::NotVerified`] if it was not touched in
    /// time; [`PivError::Malformed`], [`PivError::Channel`].
    pub fn challenge_response(&mut self, slot: OtpSlot, challenge: &[u8]) -> Result<TokenSecret, PivError> {
        let Some(last) = challenge.last().filter(|_| challenge.len() < CHALLENGE) else {
            return Err(PivError::Unsupported("a challenge that has not 1 to 63 bytes"));
        };
        // The token takes off what equals the last byte ("less than 64 bytes"): it must not be the challenge's.
        let mut padded = [u8::from(*last == 0); CHALLENGE];
        padded.iter_mut().zip(challenge).for_each(|(to, from)| *to = *from);
        let p1 = match slot {
            OtpSlot::One => 0x30,
            OtpSlot::Two => 0x38,
        };
        let command = Command { ins: API_REQUEST, p1, p2: 0, data: &padded, answered: true };
        match self.session.exchange(&command)? {
            (Status::Success, answer) if answer.len() == RESPONSE => Ok(TokenSecret::copy_from(&answer)),
            // Firmware differs in how it says that there is no key.
            (Status::Success, answer) if answer.is_empty() => Err(NO_KEY),
            (Status::Success, _) => Err(MALFORMED),
            (Status::WrongData | Status::NotSupported | Status::NoReference | Status::WrongParameters, _) => {
                Err(NO_KEY)
            }
            (Status::Conditions | Status::SecurityStatus, _) => Err(PivError::NotVerified),
            (refused, _) => Err(refused.into()),
        }
    }
}

const MALFORMED: PivError = PivError::Malformed("an OTP answer of another length");
const NO_KEY: PivError = PivError::Unsupported("challenge-response in this OTP slot");
