//! Commands and their responses (ISO/IEC 7816-4 section 5), held in one transaction.
//!
//! Commands go in the short form and longer ones in a chain (section 5.3.3), which every PIV card understands
//! (SP 800-73-4 part 2 section 2.4.1); the extended form is not needed. Responses may come whole or in parts.

use super::{PivError, Status};
use crate::channel::{After, Card, Patience};
use zeroize::Zeroizing;

/// Bytes of the longest response, all parts together.
pub const MAX_RESPONSE: usize = 16 * 1024;
/// Bytes of data in one command.
const SHORT: usize = 255;
/// Parts of the longest response that brings at least something in each.
const MAX_PARTS: usize = 256;
/// CLA of a command with more of it to come.
const CHAINED: u8 = 0x10;
/// How the rest of a response is asked for: GET RESPONSE.
const GET_RESPONSE: u8 = 0xc0;

/// A command. Its class is always 00.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// What to do.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// The data; empty is none.
    pub data: &'a [u8],
    /// Whether data is expected in return.
    pub answered: bool,
}

/// The card is ours alone while this lives, and is let go when it is dropped.
pub struct Session<'c> {
    card: &'c mut dyn Card,
    patience: &'c Patience,
    after: After,
    rest: u8,
}

impl<'c> Session<'c> {
    /// Takes the card.
    ///
    /// # Errors
    /// [`PivError::Channel`].
    pub fn begin(card: &'c mut dyn Card, patience: &'c Patience) -> Result<Self, PivError> {
        card.begin(patience)?;
        Ok(Self { card, patience, after: After::Leave, rest: GET_RESPONSE })
    }

    /// Selects an application by its whole identifier (SP 800-73-4 part 2 section 3.1.1): what it says of itself.
    ///
    /// # Errors
    /// [`PivError::NoApplication`] with `name`, [`PivError::Channel`].
    pub fn select(&mut self, aid: &[u8], name: &'static str) -> Result<Zeroizing<Vec<u8>>, PivError> {
        let select = Command { ins: 0xa4, p1: 0x04, p2: 0x00, data: aid, answered: true };
        match self.exchange(&select)? {
            (Status::Success, data) => Ok(data),
            (
                Status::NotFound | Status::NotSupported | Status::WrongParameters | Status::ReferenceUnusable,
                _,
            ) => Err(PivError::NoApplication(name)),
            (refused, _) => Err(refused.into()),
        }
    }

    /// Asks for the rest of responses by another instruction than GET RESPONSE: YKOATH has its own.
    pub(super) fn ask_rest_by(&mut self, ins: u8) {
        self.rest = ins;
    }

    /// From now on the card is reset when it is let go: it must forget what it verified.
    pub(super) fn reset_after(&mut self) {
        self.after = After::Reset;
    }

    /// Sends a command; anything but success is an error.
    ///
    /// # Errors
    /// [`PivError::Status`], [`PivError::Channel`], [`PivError::Malformed`].
    pub fn send(&mut self, command: &Command<'_>) -> Result<Zeroizing<Vec<u8>>, PivError> {
        match self.exchange(command)? {
            (Status::Success, data) => Ok(data),
            (refused, _) => Err(refused.into()),
        }
    }

    /// Sends a command: the status and the data, whole.
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Malformed`].
    pub fn exchange(&mut self, command: &Command<'_>) -> Result<(Status, Zeroizing<Vec<u8>>), PivError> {
        let mut data = command.data;
        while let Some((part, rest)) = data.split_at_checked(SHORT).filter(|(_, rest)| !rest.is_empty()) {
            let (status, _) = self.transmit(&encode(CHAINED, command, part, None))?;
            if status != Status::Success {
                return Ok((status, Zeroizing::default()));
            }
            data = rest;
        }
        // A command without data and answer has a length all the same: readers that speak T=0 want one.
        let expected = (command.answered || data.is_empty()).then_some(0);
        let (mut status, mut whole) = self.transmit(&encode(0, command, data, expected))?;
        if let Status::WrongExpected(length) = status {
            (status, whole) = self.transmit(&encode(0, command, data, Some(length)))?;
        }
        for _ in 0..MAX_PARTS {
            let Status::MoreData(length) = status else { return Ok((status, whole)) };
            let next = Command { ins: self.rest, p1: 0, p2: 0, data: &[], answered: true };
            let (then, mut part) = self.transmit(&encode(0, &next, &[], Some(length)))?;
            if whole.len().saturating_add(part.len()) > MAX_RESPONSE {
                return Err(PivError::Malformed("a response without end"));
            }
            // Not by growing in place, which would leave a copy of the first part behind unwiped.
            whole = Zeroizing::new([whole.as_slice(), part.as_slice()].concat());
            part.clear();
            status = then;
        }
        Err(PivError::Malformed("a response without end"))
    }

    fn transmit(&mut self, command: &[u8]) -> Result<(Status, Zeroizing<Vec<u8>>), PivError> {
        let mut response = Zeroizing::new(self.card.transmit(command, self.patience)?);
        let Some((data, [first, second])) = response.split_last_chunk() else {
            return Err(PivError::Malformed("a response without a status"));
        };
        let (status, length) = (Status::of(u16::from_be_bytes([*first, *second])), data.len());
        if length > MAX_RESPONSE {
            return Err(PivError::Malformed("a response without end"));
        }
        response.truncate(length);
        Ok((status, response))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.card.end(self.after);
    }
}

/// One APDU in the short form; it may hold a PIN.
fn encode(class: u8, command: &Command<'_>, data: &[u8], expected: Option<u8>) -> Zeroizing<Vec<u8>> {
    let mut apdu = Zeroizing::new(Vec::with_capacity(data.len().saturating_add(6)));
    apdu.extend([class, command.ins, command.p1, command.p2]);
    if let Some(length) = u8::try_from(data.len()).ok().filter(|length| *length > 0) {
        apdu.push(length);
        apdu.extend_from_slice(data);
    }
    apdu.extend(expected);
    apdu
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Script, patience};
    use super::*;
    use crate::channel::ChannelError;

    fn ask(script: &mut Script, data: &[u8], answered: bool) -> Result<(Status, Vec<u8>), PivError> {
        let patience = patience();
        let mut session = Session::begin(script, &patience)?;
        let answer = session.exchange(&Command { ins: 0xcb, p1: 0x3f, p2: 0xff, data, answered })?;
        Ok((answer.0, answer.1.to_vec()))
    }

    #[test]
    fn the_four_cases_of_a_command() {
        let ok = (Status::Success, Vec::new());
        assert_eq!(ask(&mut Script::new(&[("00cb3fff00", "9000")]), b"", false).as_ref(), Ok(&ok));
        assert_eq!(ask(&mut Script::new(&[("00cb3fff00", "9000")]), b"", true).as_ref(), Ok(&ok));
        assert_eq!(ask(&mut Script::new(&[("00cb3fff0161", "9000")]), b"a", false).as_ref(), Ok(&ok));
        assert_eq!(ask(&mut Script::new(&[("00cb3fff016100", "9000")]), b"a", true).as_ref(), Ok(&ok));
    }

    #[test]
    fn long_commands_are_chained() {
        let long = [0xaa; 256];
        let (first, last) = (format!("10cb3fffff{}", "aa".repeat(255)), "00cb3fff01aa00");
        let mut script = Script::new(&[(&first, "9000"), (last, "079000")]);
        assert_eq!(ask(&mut script, &long, true), Ok((Status::Success, vec![7])));
        let mut script = Script::new(&[(&first, "6700")]);
        assert_eq!(ask(&mut script, &long, true), Ok((Status::WrongLength, vec![])));
        // What just fits is not.
        let mut script = Script::new(&[(&format!("00cb3fffff{}00", "aa".repeat(255)), "9000")]);
        assert_eq!(ask(&mut script, &long[1..], true), Ok((Status::Success, vec![])));
    }

    #[test]
    fn responses_come_in_parts() {
        let mut script =
            Script::new(&[("00cb3fff00", "016102"), ("00c0000002", "026101"), ("00c0000001", "039000")]);
        assert_eq!(ask(&mut script, b"", true), Ok((Status::Success, vec![1, 2, 3])));
        let mut script = Script::new(&[("00cb3fff00", "6c05"), ("00cb3fff05", "059000")]);
        assert_eq!(ask(&mut script, b"", true), Ok((Status::Success, vec![5])));
        let mut script = Script::new(&[("00cb3fff00", "6c05"), ("00cb3fff05", "6c05")]);
        assert_eq!(ask(&mut script, b"", true), Ok((Status::WrongExpected(5), vec![])));
    }

    #[test]
    fn endless_responses_end() {
        let endless = PivError::Malformed("a response without end");
        assert_eq!(ask(&mut Script::repeating("6100"), b"", true), Err(endless));
        assert_eq!(
            ask(&mut Script::repeating(&format!("{}6100", "ff".repeat(256))), b"", true),
            Err(endless)
        );
        let huge = format!("{}9000", "ff".repeat(MAX_RESPONSE + 1));
        assert_eq!(ask(&mut Script::repeating(&huge), b"", true), Err(endless));
        for short in ["", "90"] {
            let none = PivError::Malformed("a response without a status");
            assert_eq!(ask(&mut Script::repeating(short), b"", true), Err(none));
        }
    }

    #[test]
    fn the_card_is_let_go_whatever_happens() {
        let patience = patience();
        let mut script = Script::new(&[]);
        let mut session = Session::begin(&mut script, &patience).unwrap();
        let lost = session.select(&[1], "PIV").unwrap_err();
        assert_eq!(lost, PivError::Channel(ChannelError::Gone));
        session.reset_after();
        drop(session);
        assert_eq!(script.ended, [After::Reset]);
        drop(Session::begin(&mut script, &patience).unwrap());
        assert_eq!(script.ended, [After::Reset, After::Leave]);
    }
}
