//! The smart card: which application is selected, chains of commands, and long answers in pieces.

pub mod apdu;
mod button;
mod management;
mod oath;
mod otp;
mod piv;
mod store;
mod tlv;

use littlefs2::object_safe::DynFilesystem;

use self::{
    apdu::{Answer, CHAINED, Command, Status, response},
    oath::Oath,
    otp::Otp,
    piv::Piv,
};
pub use self::{
    button::{Button, PATIENCE as TOUCH_PATIENCE},
    otp::{Board, Frame, PAYLOAD, crc_is_right},
};
use crate::fault::Faults;

/// The answer to reset of a `YubiKey` 5.
pub const ATR: [u8; 23] = [
    0x3B, 0xFD, 0x13, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x15, 0x80, 0x73, 0xC0, 0x21, 0xC0, 0x57, 0x59, 0x75,
    0x62, 0x69, 0x4B, 0x65, 0x79, 0x40,
];

const SELECT: u8 = 0xA4;
const BY_NAME: u8 = 0x04;
const GET_RESPONSE: u8 = 0xC0;
/// A client may leave out the end of an AID, but not the five bytes that say whose it is.
const MIN_AID: usize = 5;

/// What the card says that it is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Its serial number.
    pub serial: u32,
    /// Its firmware.
    pub version: [u8; 3],
    /// Whether it shows the FIDO applications too.
    pub with_fido: bool,
}

impl Identity {
    /// A firmware that has metadata, attestation and AES management keys, and the default key is still 3DES.
    pub const VERSION: [u8; 3] = [5, 4, 3];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    Piv,
    Oath,
    Otp,
    Management,
}

impl Application {
    const ALL: [(&'static [u8], Self); 4] = [
        (piv::AID, Self::Piv),
        (oath::AID, Self::Oath),
        (otp::AID, Self::Otp),
        (management::AID, Self::Management),
    ];

    fn named(aid: &[u8]) -> Result<Self, Status> {
        let found = Self::ALL
            .iter()
            .find(|(name, _)| aid.len() >= MIN_AID && (name.starts_with(aid) || aid.starts_with(name)));
        found.map(|(_, application)| *application).ok_or(Status::NOT_FOUND)
    }
}

/// What a card is made of.
pub struct Parts<'a, T> {
    /// The framework's client of the PIV application.
    pub client: T,
    /// The flash.
    pub fs: &'a dyn DynFilesystem,
    /// The button.
    pub button: Button,
    /// What it says that it is.
    pub identity: Identity,
    /// What it does wrong.
    pub faults: &'a Faults,
    /// Where it shows the status of its OTP application.
    pub board: Board,
}

/// A card that was just powered.
pub struct Card<'a, T> {
    piv: Piv<'a, T>,
    oath: Oath<'a>,
    otp: Otp<'a>,
    identity: Identity,
    selected: Option<Application>,
    chain: Vec<u8>,
    rest: Vec<u8>,
}

impl<'a, T: piv_authenticator::Client> Card<'a, T> {
    /// Power on.
    pub fn new(parts: Parts<'a, T>) -> Self {
        let Parts { client, fs, button, identity, faults, board } = parts;
        Self {
            oath: Oath::new(fs, button.clone(), identity),
            otp: Otp::new(fs, button.clone(), identity, board),
            piv: Piv::new(client, fs, button, identity, faults),
            identity,
            selected: None,
            chain: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// The PIN for a card that was never given one.
    ///
    /// # Errors
    /// When the PIN is not one of PIV's, or the flash fails.
    pub fn first_pin(&mut self, pin: &[u8]) -> Result<(), Status> {
        self.piv.first_pin(pin)
    }

    /// Answers one command APDU with one response APDU.
    pub fn transmit(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.command(bytes).unwrap_or_else(|status| response(Vec::new(), status))
    }

    /// Answers a frame of the OTP application, whichever is selected.
    pub fn frame(&self, frame: &Frame) -> Vec<u8> {
        self.otp.frame(frame)
    }

    fn command(&mut self, bytes: &[u8]) -> Answer {
        let command = Command::parse(bytes)?;
        let remaining =
            if self.selected == Some(Application::Oath) { oath::SEND_REMAINING } else { GET_RESPONSE };
        if command.ins == remaining && self.chain.is_empty() {
            return Ok(self.next_piece(command.room));
        }
        self.rest.clear();
        let chained = command.cla & CHAINED != 0;
        let command = command.join(std::mem::take(&mut self.chain));
        if command.is_too_long() {
            return Err(Status::LENGTH);
        }
        if chained {
            self.chain = command.data;
            return Ok(response(Vec::new(), Status::OK));
        }
        self.rest = if (command.ins, command.p1) == (SELECT, BY_NAME) {
            self.select(&command.data)?
        } else {
            self.answer(&command)?
        };
        Ok(self.next_piece(command.room))
    }

    fn select(&mut self, aid: &[u8]) -> Answer {
        let wanted = Application::named(aid)?;
        if self.selected == Some(Application::Piv) && wanted != Application::Piv {
            self.piv.deselect();
        }
        self.selected = Some(wanted);
        match wanted {
            Application::Piv => self.piv.select(),
            Application::Oath => self.oath.select(),
            Application::Otp => self.otp.select(),
            Application::Management => Ok(management::select(self.identity)),
        }
    }

    fn answer(&mut self, command: &Command) -> Answer {
        match self.selected {
            Some(Application::Piv) => self.piv.answer(command),
            Some(Application::Oath) => self.oath.answer(command),
            Some(Application::Otp) => self.otp.answer(command),
            Some(Application::Management) => management::answer(self.identity, command),
            None => Err(Status::INSTRUCTION),
        }
    }

    /// As much as there is room for, and how much is left (`61xx`).
    fn next_piece(&mut self, room: usize) -> Vec<u8> {
        let later = self.rest.split_off(self.rest.len().min(room));
        let piece = std::mem::replace(&mut self.rest, later);
        let status = match self.rest.len() {
            0 => Status::OK,
            left => Status(0x6100 | u16::from(u8::try_from(left).unwrap_or(0))),
        };
        response(piece, status)
    }
}
