//! The messages of a USB smart card reader (CCID 1.1, section 6) that takes whole APDUs of any length, as seen from
//! the reader. No I/O, no clock.

use super::descriptor::PACKET;
use crate::card::ATR;

/// The longest message.
pub(super) const MAX_MESSAGE: usize = 3072;
const HEADER: usize = 10;
/// The longest piece of an APDU.
const MAX_BLOCK: usize = MAX_MESSAGE - HEADER;
/// More than any APDU has (ISO 7816-4): an end to every chain.
const MAX_APDU: usize = 65_544;

// What the host sends.
const POWER_ON: u8 = 0x62;
const POWER_OFF: u8 = 0x63;
const GET_SLOT_STATUS: u8 = 0x65;
const TRANSFER: u8 = 0x6F;
const GET_PARAMETERS: u8 = 0x6C;
const RESET_PARAMETERS: u8 = 0x6D;
const SET_PARAMETERS: u8 = 0x61;
const ESCAPE: u8 = 0x6B;
const ABORT: u8 = 0x72;

// What the reader answers.
const DATA_BLOCK: u8 = 0x80;
const SLOT_STATUS: u8 = 0x81;
const PARAMETERS: u8 = 0x82;
const ESCAPED: u8 = 0x83;

// `bStatus`: the card's, and above it the command's.
const POWERED: u8 = 0;
const UNPOWERED: u8 = 1;
const NO_CARD: u8 = 2;
const FAILED: u8 = 1 << 6;
const MORE_TIME: u8 = 2 << 6;

// `bError` (section 6.2.6): the place of the field that is wrong, or one of these.
const UNKNOWN_COMMAND: u8 = 0;
const WRONG_LENGTH: u8 = 1;
const NO_SUCH_SLOT: u8 = 5;
const WRONG_PROTOCOL: u8 = 7;
const WRONG_CHAIN: u8 = 8;
const ABORTED: u8 = 0xFF;
const MUTE: u8 = 0xFE;
const BUSY: u8 = 0xE0;

// Where a block stands in its chain: `wLevelParameter` and `bChainParameter`.
const WHOLE: u8 = 0;
const FIRST: u8 = 1;
const LAST: u8 = 2;
const MIDDLE: u8 = 3;
const GO_ON: u8 = 0x10;

const T1: u8 = 1;
/// The parameters for T=1: as in the ATR, with the longest block.
const DEFAULT_PARAMETERS: [u8; 7] = [0x11, 0x10, 0x00, 0x4D, 0x00, 0xFE, 0x00];

/// What a message asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing yet.
    None,
    /// Send this.
    Reply(Vec<u8>),
    /// Reset the card, then send this.
    Reset(Vec<u8>),
    /// Give this APDU to the card, then call [`Link::complete`] or [`Link::forget`].
    Command(Vec<u8>),
    /// The pending command's answer is not wanted any more. Send these.
    Abort([Vec<u8>; 2]),
}

/// What an answer goes back to: slot and number of the command.
#[derive(Clone, Copy, Debug)]
struct Address {
    slot: u8,
    sequence: u8,
}

/// The reader's end of the wire.
#[derive(Debug)]
pub(super) struct Link {
    /// The beginning of a message.
    incoming: Vec<u8>,
    powered: bool,
    parameters: [u8; 7],
    /// The beginning of an APDU.
    chain: Vec<u8>,
    /// The end of an answer.
    rest: Vec<u8>,
    pending: Option<Address>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            incoming: Vec::new(),
            powered: false,
            parameters: DEFAULT_PARAMETERS,
            chain: Vec::new(),
            rest: Vec::new(),
            pending: None,
        }
    }
}

impl Link {
    /// Takes in what the host sent at once. A message ends where it says, or with a packet that is not full.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Event {
        self.incoming.extend(bytes);
        let said = said_length(&self.incoming);
        let over = !bytes.len().is_multiple_of(PACKET) || self.incoming.len() > MAX_MESSAGE;
        if !over && said.is_none_or(|length| self.incoming.len() < length) {
            return Event::None;
        }
        let message = std::mem::take(&mut self.incoming);
        match message.split_first_chunk::<HEADER>() {
            // Too short to be answered.
            None => Event::None,
            Some((header, data)) => self.message(header, data, said == Some(message.len())),
        }
    }

    fn message(&mut self, header: &[u8; HEADER], data: &[u8], is_whole: bool) -> Event {
        let &[kind, _, _, _, _, slot, sequence, a, b, _] = header;
        let to = Address { slot, sequence };
        let answer = match kind {
            POWER_ON | TRANSFER => DATA_BLOCK,
            GET_PARAMETERS | RESET_PARAMETERS | SET_PARAMETERS => PARAMETERS,
            ESCAPE => ESCAPED,
            _ => SLOT_STATUS,
        };
        let refuse = |link: &Self, reason| Event::Reply(link.failed(answer, to, reason));
        if slot != 0 {
            let status = FAILED | NO_CARD;
            return Event::Reply(message(answer, to, [status, NO_SUCH_SLOT, 0], &[]));
        }
        if !is_whole {
            return refuse(self, WRONG_LENGTH);
        }
        match (kind, self.pending) {
            (ABORT, Some(pending)) => {
                self.forget();
                let aborted = self.failed(DATA_BLOCK, pending, ABORTED);
                return Event::Abort([aborted, self.done(SLOT_STATUS, to, &[])]);
            }
            (_, Some(_)) => return refuse(self, BUSY),
            (_, None) => {}
        }
        match kind {
            POWER_ON => {
                self.power(true);
                Event::Reset(self.done(DATA_BLOCK, to, &ATR))
            }
            POWER_OFF => {
                self.power(false);
                Event::Reset(self.done(SLOT_STATUS, to, &[]))
            }
            GET_SLOT_STATUS | ABORT => Event::Reply(self.done(SLOT_STATUS, to, &[])),
            GET_PARAMETERS => Event::Reply(self.parameters(to)),
            RESET_PARAMETERS => {
                self.parameters = DEFAULT_PARAMETERS;
                Event::Reply(self.parameters(to))
            }
            SET_PARAMETERS if a != T1 => refuse(self, WRONG_PROTOCOL),
            SET_PARAMETERS => match data.try_into() {
                Ok(parameters) => {
                    self.parameters = parameters;
                    Event::Reply(self.parameters(to))
                }
                Err(_) => refuse(self, WRONG_LENGTH),
            },
            TRANSFER if !self.powered => refuse(self, MUTE),
            TRANSFER => self.transfer(to, b, data),
            _ => refuse(self, UNKNOWN_COMMAND),
        }
    }

    /// A block of an APDU, or a request for the next one of the answer. `place` is the low byte of
    /// `wLevelParameter`; no value has a high one.
    fn transfer(&mut self, to: Address, place: u8, data: &[u8]) -> Event {
        if place == GO_ON {
            return Event::Reply(self.next_block(to, MIDDLE));
        }
        self.rest.clear();
        let begins = matches!(place, WHOLE | FIRST);
        if begins != self.chain.is_empty() || !matches!(place, WHOLE | FIRST | MIDDLE | LAST) {
            self.chain.clear();
            return Event::Reply(self.failed(DATA_BLOCK, to, WRONG_CHAIN));
        }
        self.chain.extend(data);
        if self.chain.is_empty() || self.chain.len() > MAX_APDU {
            self.chain.clear();
            return Event::Reply(self.failed(DATA_BLOCK, to, WRONG_LENGTH));
        }
        if matches!(place, FIRST | MIDDLE) {
            let status = [self.card(), 0, GO_ON];
            return Event::Reply(message(DATA_BLOCK, to, status, &[]));
        }
        self.pending = Some(to);
        Event::Command(std::mem::take(&mut self.chain))
    }

    /// The answer to the pending command: its first block.
    pub(super) fn complete(&mut self, answer: &[u8]) -> Vec<u8> {
        let Some(to) = self.pending.take() else { return Vec::new() };
        self.rest = answer.to_vec();
        self.next_block(to, FIRST)
    }

    /// The pending command will have no answer.
    pub(super) fn forget(&mut self) {
        self.pending = None;
    }

    /// What keeps the host waiting for the pending command: it may take as long again.
    pub(super) fn more_time(&self) -> Vec<u8> {
        let Some(to) = self.pending else { return Vec::new() };
        message(DATA_BLOCK, to, [MORE_TIME | self.card(), 1, 0], &[])
    }

    /// As much of the answer as there is room for, and its place: `more` when it is not the last.
    fn next_block(&mut self, to: Address, more: u8) -> Vec<u8> {
        let later = self.rest.split_off(self.rest.len().min(MAX_BLOCK));
        let block = std::mem::replace(&mut self.rest, later);
        let place = match (self.rest.is_empty(), more) {
            (false, more) => more,
            (true, FIRST) => WHOLE,
            (true, _) => LAST,
        };
        message(DATA_BLOCK, to, [self.card(), 0, place], &block)
    }

    fn power(&mut self, on: bool) {
        *self = Self { powered: on, ..Self::default() };
    }

    fn card(&self) -> u8 {
        if self.powered { POWERED } else { UNPOWERED }
    }

    fn parameters(&self, to: Address) -> Vec<u8> {
        message(PARAMETERS, to, [self.card(), 0, T1], &self.parameters)
    }

    fn done(&self, kind: u8, to: Address, data: &[u8]) -> Vec<u8> {
        message(kind, to, [self.card(), 0, 0], data)
    }

    fn failed(&self, kind: u8, to: Address, reason: u8) -> Vec<u8> {
        message(kind, to, [FAILED | self.card(), reason, 0], &[])
    }
}

/// How long a message says that it is, its header included.
fn said_length(message: &[u8]) -> Option<usize> {
    let length = message.get(1..5)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok()?.checked_add(HEADER)
}

/// `last` is `bStatus`, `bError` and what the kind of message has in its tenth byte.
fn message(kind: u8, to: Address, last: [u8; 3], data: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(u32::try_from(data.len()).unwrap_or_default().to_le_bytes());
    message.extend([to.slot, to.sequence]);
    message.extend(last);
    message.extend(data);
    message
}

#[cfg(test)]
mod tests;
