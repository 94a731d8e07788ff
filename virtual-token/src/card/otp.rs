//! Yubico's OTP application over the card: status, serial, and HMAC-SHA1 challenge-response in two slots
//! (the frames of yubikey-personalization, `ykdef.h`). It types no one-time passwords.

use hmac::{Hmac, KeyInit as _, Mac as _};
use littlefs2::{object_safe::DynFilesystem, path};
use serde::{Deserialize, Serialize};
use sha1::Sha1;

use super::{
    Identity,
    apdu::{Answer, Command, Status},
    button::Button,
    store::Shelf,
};

/// Its AID.
pub(super) const AID: &[u8] = &[0xA0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];

const REQUEST: u8 = 0x01;
const STATUS: u8 = 0x03;

// What P1 of a request asks for.
const CONFIGURE: [u8; 2] = [0x01, 0x03];
const SWAP: u8 = 0x06;
const SERIAL: u8 = 0x10;
const HMAC: [u8; 2] = [0x30, 0x38];

// The layout of a configuration: fixed 16, uid 6, key 16, access code 6, then lengths and flags.
const CONFIGURATION: usize = 52;
const ACCESS_CODE: usize = 6;
const TICKET_CHALLENGE_RESPONSE: u8 = 0x40;
const CONFIG_HMAC: u8 = 0x22;
const CONFIG_SHORT_CHALLENGE: u8 = 0x04;
const CONFIG_TOUCH: u8 = 0x08;

const CHALLENGE: usize = 64;

#[derive(Clone, Serialize, Deserialize)]
struct Slot {
    key: Vec<u8>,
    touch: bool,
    short: bool,
    access_code: Vec<u8>,
}

#[derive(Default, Serialize, Deserialize)]
struct Slots {
    slots: [Option<Slot>; 2],
    sequence: u8,
}

/// The application.
pub(super) struct Otp<'a> {
    shelf: Shelf<'a>,
    button: Button,
    identity: Identity,
}

impl<'a> Otp<'a> {
    /// On this flash.
    pub(super) fn new(fs: &'a dyn DynFilesystem, button: Button, identity: Identity) -> Self {
        Self { shelf: Shelf::new(fs, path!("card/otp")), button, identity }
    }

    /// Answers SELECT.
    ///
    /// # Errors
    /// When the flash fails.
    pub(super) fn select(&self) -> Answer {
        self.status()
    }

    /// Answers a command.
    ///
    /// # Errors
    /// The status word.
    pub(super) fn answer(&self, command: &Command) -> Answer {
        match (command.ins, command.p1) {
            (STATUS, _) => self.status(),
            (REQUEST, SERIAL) => Ok(self.identity.serial.to_be_bytes().to_vec()),
            (REQUEST, SWAP) => {
                let mut slots: Slots = self.shelf.load()?;
                slots.slots.swap(0, 1);
                self.save(slots)
            }
            (REQUEST, what) => {
                let at = |codes: [u8; 2]| codes.iter().position(|code| *code == what);
                if let Some(slot) = at(HMAC) {
                    self.respond(slot, &command.data)
                } else if let Some(slot) = at(CONFIGURE) {
                    self.configure(slot, &command.data)
                } else {
                    Err(Status::PARAMETERS)
                }
            }
            _ => Err(Status::INSTRUCTION),
        }
    }

    /// Version, programming sequence, and which slots are in use.
    fn status(&self) -> Answer {
        let Slots { slots: [first, second], sequence } = self.shelf.load()?;
        // A slot that answers challenges is valid; no slot types by touch.
        let flags = u8::from(first.is_some()) | u8::from(second.is_some()) << 1;
        Ok([&self.identity.version[..], &[if flags == 0 { 0 } else { sequence }, flags, 0]].concat())
    }

    fn save(&self, mut slots: Slots) -> Answer {
        slots.sequence = slots.sequence.checked_add(1).unwrap_or(1);
        self.shelf.save(&slots)?;
        self.status()
    }

    /// HMAC-SHA1 of the challenge. What is 64 bytes long may be padded: with any byte that is not its last one.
    fn respond(&self, slot: usize, challenge: &[u8]) -> Answer {
        let Slots { slots, .. } = self.shelf.load()?;
        let slot = slots.get(slot).and_then(Option::as_ref).ok_or(Status::CONDITIONS)?;
        if slot.touch {
            self.button.wait()?;
        }
        let challenge = match challenge {
            [rest @ .., pad] if slot.short && challenge.len() == CHALLENGE => {
                let end = rest.iter().rposition(|byte| byte != pad).map_or(0, |last| last.saturating_add(1));
                rest.get(..end).unwrap_or_default()
            }
            _ => challenge,
        };
        let mut mac = Hmac::<Sha1>::new_from_slice(&slot.key).map_err(|_length| Status::MEMORY)?;
        mac.update(challenge);
        Ok(mac.finalize().into_bytes().to_vec())
    }

    /// Writes a slot, or empties it when all is zero. A slot with an access code is changed only with it.
    fn configure(&self, slot: usize, data: &[u8]) -> Answer {
        let mut slots: Slots = self.shelf.load()?;
        let place = slots.slots.get_mut(slot).ok_or(Status::PARAMETERS)?;
        let (configuration, code) = data.split_at_checked(CONFIGURATION).ok_or(Status::LENGTH)?;
        if let Some(old) = place
            && old.access_code.iter().any(|byte| *byte != 0)
            && code != old.access_code
        {
            return Err(Status::SECURITY);
        }
        if configuration.iter().all(|byte| *byte == 0) {
            *place = None;
            return self.save(slots);
        }
        if crc(configuration) != CRC_OK || !matches!(code.len(), 0 | ACCESS_CODE) {
            return Err(Status::DATA);
        }
        let field = |from: usize, length: usize| {
            configuration.iter().skip(from).take(length).copied().collect::<Vec<u8>>()
        };
        let [ticket, config] = field(46, 2)[..] else { return Err(Status::DATA) };
        if ticket & TICKET_CHALLENGE_RESPONSE == 0 || config & CONFIG_HMAC != CONFIG_HMAC {
            return Err(Status::DATA);
        }
        *place = Some(Slot {
            // The last four bytes of a key of 20 stand where an identity of 6 would.
            key: [field(22, 16), field(16, 4)].concat(),
            touch: config & CONFIG_TOUCH != 0,
            short: config & CONFIG_SHORT_CHALLENGE != 0,
            access_code: field(38, ACCESS_CODE),
        });
        self.save(slots)
    }
}

const CRC_OK: u16 = 0xF0B8;

/// CRC-16 of ISO 13239; over data and its own complement it gives [`CRC_OK`].
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte),
            |crc, _bit| {
                if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 }
            },
        )
    })
}
