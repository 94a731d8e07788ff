//! Yubico's OTP application, over the card and in frames over the keyboard: status, serial, and HMAC-SHA1
//! challenge-response in two slots (yubikey-personalization, `ykdef.h`). It types no one-time passwords.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use littlefs2::{object_safe::DynFilesystem, path};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use tokio::sync::watch;

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

// The first slot's flags in the status; the second slot's are next to them.
const VALID: u8 = 0x01;
const TOUCHED: u8 = 0x04;

/// Bytes of a frame's payload, and of the longest challenge.
pub const PAYLOAD: usize = 64;

/// A command as it comes over the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// P1 of the same request over the card.
    pub command: u8,
    /// Its data, filled up with zeros.
    pub payload: [u8; PAYLOAD],
}

/// Where the application shows its status to those who must not wait for it: version, programming sequence and flags,
/// since it first ran.
pub type Board = Arc<watch::Sender<Option<[u8; 6]>>>;

/// What came of a request.
enum Outcome {
    Data(Vec<u8>),
    /// The slots have changed.
    Changed,
}

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
    board: Board,
}

impl<'a> Otp<'a> {
    /// On this flash.
    pub(super) fn new(fs: &'a dyn DynFilesystem, button: Button, identity: Identity, board: Board) -> Self {
        let otp = Self { shelf: Shelf::new(fs, path!("card/otp")), button, identity, board };
        otp.show();
        otp
    }

    /// Answers SELECT.
    ///
    /// # Errors
    /// When the flash fails.
    pub(super) fn select(&self) -> Answer {
        self.status().map(Vec::from)
    }

    /// Answers a command.
    ///
    /// # Errors
    /// The status word.
    pub(super) fn answer(&self, command: &Command) -> Answer {
        match command.ins {
            STATUS => self.status().map(Vec::from),
            REQUEST => match self.request(command.p1, &command.data)? {
                Outcome::Data(data) => Ok(data),
                Outcome::Changed => self.status().map(Vec::from),
            },
            _ => Err(Status::INSTRUCTION),
        }
    }

    /// Answers a frame, with a checksum. There is no answer to what is refused, nor to what changes a slot: the status
    /// tells of that.
    pub(super) fn frame(&self, Frame { command, payload }: &Frame) -> Vec<u8> {
        let data = if CONFIGURE.contains(command) {
            payload.get(..CONFIGURATION.saturating_add(ACCESS_CODE)).unwrap_or_default()
        } else {
            payload
        };
        match self.request(*command, data) {
            Ok(Outcome::Data(data)) => {
                let sum = (!crc(&data)).to_le_bytes();
                [data, sum.to_vec()].concat()
            }
            Ok(Outcome::Changed) | Err(_) => Vec::new(),
        }
    }

    fn request(&self, what: u8, data: &[u8]) -> Result<Outcome, Status> {
        let at = |codes: [u8; 2]| codes.iter().position(|code| *code == what);
        if what == SERIAL {
            Ok(Outcome::Data(self.identity.serial.to_be_bytes().to_vec()))
        } else if what == SWAP {
            let mut slots: Slots = self.shelf.load()?;
            slots.slots.swap(0, 1);
            self.save(slots)
        } else if let Some(slot) = at(HMAC) {
            self.respond(slot, data).map(Outcome::Data)
        } else if let Some(slot) = at(CONFIGURE) {
            self.configure(slot, data)
        } else {
            Err(Status::PARAMETERS)
        }
    }

    /// Version, programming sequence, which slots are in use, and which of them want a touch.
    fn status(&self) -> Result<[u8; 6], Status> {
        let Slots { slots, sequence } = self.shelf.load()?;
        let flags = [0, 1].into_iter().zip(&slots).fold(0, |flags, (place, slot)| match slot {
            Some(slot) => flags | (VALID | if slot.touch { TOUCHED } else { 0 }) << place,
            None => flags,
        });
        let [major, minor, patch] = self.identity.version;
        Ok([major, minor, patch, if flags == 0 { 0 } else { sequence }, flags, 0])
    }

    fn show(&self) {
        if let Ok(status) = self.status() {
            self.board.send_replace(Some(status));
        }
    }

    fn save(&self, mut slots: Slots) -> Result<Outcome, Status> {
        slots.sequence = slots.sequence.checked_add(1).unwrap_or(1);
        self.shelf.save(&slots)?;
        self.show();
        Ok(Outcome::Changed)
    }

    /// HMAC-SHA1 of the challenge. What is 64 bytes long may be padded: with any byte that is not its last one.
    fn respond(&self, slot: usize, challenge: &[u8]) -> Answer {
        let Slots { slots, .. } = self.shelf.load()?;
        let slot = slots.get(slot).and_then(Option::as_ref).ok_or(Status::CONDITIONS)?;
        if slot.touch {
            self.button.wait()?;
        }
        let challenge = match challenge {
            [rest @ .., pad] if slot.short && challenge.len() == PAYLOAD => {
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
    fn configure(&self, slot: usize, data: &[u8]) -> Result<Outcome, Status> {
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

/// Whether this is the checksum of that.
pub fn crc_is_right(bytes: &[u8], sum: [u8; 2]) -> bool {
    crc(bytes).to_le_bytes() == sum
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
