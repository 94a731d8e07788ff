//! A YubiKey's OTP application: HMAC-SHA-1 of a challenge (RFC 2104), by a key in one of its two slots. There is no
//! PIN: whoever holds the token has the answer.
//!
//! Here, over CCID; over the reports of its keyboard, in [`reports`]. The commands are the same.

mod reports;

pub use reports::OtpReports;

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

impl OtpSlot {
    /// The command that has the slot answer a challenge.
    const fn challenge(self) -> u8 {
        match self {
            Self::One => 0x30,
            Self::Two => 0x38,
        }
    }
}

/// What the application says of itself: it is the same over every wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtpStatus {
    /// The version of the firmware.
    pub version: Version,
    /// The touch level's lower half.
    flags: u8,
}

impl OtpStatus {
    /// Version, programming sequence, touch level (little-endian); newer firmware may say more.
    fn read(status: &[u8]) -> Result<Self, PivError> {
        let [major, minor, patch, _sequence, flags, _high, ..] = *status else {
            return Err(PivError::Malformed("an OTP status that is too short"));
        };
        Ok(Self { version: Version([major, minor, patch]), flags })
    }

    /// Whether something, perhaps not a challenge-response key, is in the slot.
    pub const fn is_configured(&self, slot: OtpSlot) -> bool {
        self.flags & if matches!(slot, OtpSlot::One) { 0x01 } else { 0x02 } != 0
    }

    /// Whether the slot wants a touch; firmware before 3.0 does not say.
    pub const fn needs_touch(&self, slot: OtpSlot) -> bool {
        self.flags & if matches!(slot, OtpSlot::One) { 0x04 } else { 0x08 } != 0
    }
}

/// The OTP application over one of its wires.
pub trait Otp {
    /// As it was when the wire was taken.
    fn status(&self) -> OtpStatus;

    /// The serial number, if the token may tell it.
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Malformed`].
    fn serial(&mut self) -> Result<Option<u32>, PivError>;

    /// HMAC-SHA-1 of a challenge of 1 to 63 bytes: 20 bytes. May wait for a touch.
    ///
    /// # Errors
    /// [`PivError::Unsupported`] if the slot holds no such key; [`PivError::NotVerified`] if it was not touched in
    /// time; [`PivError::Malformed`], [`PivError::Channel`].
    fn challenge_response(&mut self, slot: OtpSlot, challenge: &[u8]) -> Result<TokenSecret, PivError>;
}

/// A challenge as the token takes it: it takes off what equals the last byte ("less than 64 bytes"), which must not be
/// the challenge's.
fn padded(challenge: &[u8]) -> Result<[u8; CHALLENGE], PivError> {
    let Some(last) = challenge.last().filter(|_| challenge.len() < CHALLENGE) else {
        return Err(PivError::Unsupported("a challenge that has not 1 to 63 bytes"));
    };
    let mut padded = [u8::from(*last == 0); CHALLENGE];
    padded.iter_mut().zip(challenge).for_each(|(to, from)| *to = *from);
    Ok(padded)
}

/// The OTP application of a card that is ours alone while this lives.
pub struct OtpCard<'c> {
    session: Session<'c>,
    status: OtpStatus,
}

impl<'c> OtpCard<'c> {
    /// Takes the card and selects the application.
    ///
    /// # Errors
    /// [`PivError::NoApplication`], [`PivError::Malformed`], [`PivError::Channel`].
    pub fn open(card: &'c mut dyn Card, patience: &'c Patience) -> Result<Self, PivError> {
        let mut session = Session::begin(card, patience)?;
        let status = OtpStatus::read(&session.select(&AID, "OTP")?)?;
        Ok(Self { session, status })
    }
}

impl Otp for OtpCard<'_> {
    fn status(&self) -> OtpStatus {
        self.status
    }

    fn serial(&mut self) -> Result<Option<u32>, PivError> {
        let command = Command { ins: API_REQUEST, p1: SERIAL, p2: 0, data: &[], answered: true };
        let (Status::Success, answer) = self.session.exchange(&command)? else { return Ok(None) };
        if answer.is_empty() {
            return Ok(None);
        }
        let serial = <[u8; 4]>::try_from(answer.as_slice());
        serial.map(|serial| Some(u32::from_be_bytes(serial))).map_err(|_length| MALFORMED)
    }

    fn challenge_response(&mut self, slot: OtpSlot, challenge: &[u8]) -> Result<TokenSecret, PivError> {
        let padded = padded(challenge)?;
        let command =
            Command { ins: API_REQUEST, p1: slot.challenge(), p2: 0, data: &padded, answered: true };
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
