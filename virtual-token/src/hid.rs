//! CTAPHID framing (CTAP 2.2, section 11.2) as seen from the token. No I/O, no clock.

use std::collections::BTreeSet;

use ctaphid_app::Command;

/// One HID report, without a report number.
pub type Report = [u8; REPORT_SIZE];

/// Bytes in a report.
pub const REPORT_SIZE: usize = 64;

/// The report descriptor: usage page 0xF1D0, usage 1; one input and one output report of 64 bytes (CTAP 2.2,
/// section 11.2.8.2).
pub const DESCRIPTOR: [u8; 34] = [
    0x06, 0xD0, 0xF1, 0x09, 0x01, 0xA1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95,
    0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xC0,
];

const FIRST_PAYLOAD: usize = REPORT_SIZE - 7;
const NEXT_PAYLOAD: usize = REPORT_SIZE - 5;
/// What the first report and 128 continuations carry.
const MAX_MESSAGE: usize = FIRST_PAYLOAD + 128 * NEXT_PAYLOAD;
const BROADCAST: u32 = u32::MAX;
const FIRST: u8 = 0x80;

const PING: u8 = 0x01;
const MSG: u8 = 0x03;
const INIT: u8 = 0x06;
const WINK: u8 = 0x08;
const CBOR: u8 = 0x10;
const CANCEL: u8 = 0x11;
const KEEPALIVE: u8 = 0x3B;
const ERROR: u8 = 0x3F;

const CAPABILITY_WINK: u8 = 0x01;
const CAPABILITY_CBOR: u8 = 0x04;

/// The errors of CTAPHID itself (section 11.2.9.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HidError {
    /// The command is not known.
    InvalidCommand = 0x01,
    /// The length is not possible for this command.
    InvalidLength = 0x03,
    /// A report came out of order.
    InvalidSequence = 0x04,
    /// The rest of a message did not come.
    MessageTimeout = 0x05,
    /// Another transaction is going on.
    ChannelBusy = 0x06,
    /// The channel was never allocated, or is reserved.
    InvalidChannel = 0x0B,
    /// Anything else.
    Other = 0x7F,
}

/// What the client waits for while the token works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The token computes.
    Processing = 1,
    /// The token waits for a touch.
    UpNeeded = 2,
}

/// What a report asks the session to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet.
    None,
    /// Send these reports.
    Reply(Vec<Report>),
    /// Send these reports, whose number is a matter of time.
    Keepalive(Vec<Report>),
    /// Give this message to the authenticator, then call [`Link::complete`] or [`Link::fail`].
    Request(Command, Vec<u8>),
    /// Cancel the pending request, whose answer is still wanted.
    Cancel,
    /// Cancel the pending request, throw its answer away, then send these reports.
    Abort(Vec<Report>),
}

#[derive(Debug)]
enum State {
    Idle,
    Receiving { channel: u32, command: u8, length: usize, sequence: u8, message: Vec<u8> },
    Working { channel: u32, command: u8 },
}

/// The token's end of one wire.
#[derive(Debug)]
pub struct Link {
    state: State,
    channels: BTreeSet<u32>,
}

impl Default for Link {
    fn default() -> Self {
        Self { state: State::Idle, channels: BTreeSet::new() }
    }
}

impl Link {
    /// Takes one report in. `allocate` gives a channel that nobody has.
    pub fn take(&mut self, report: &Report, allocate: impl FnOnce() -> u32) -> Event {
        let [c0, c1, c2, c3, kind, rest @ ..] = report;
        let channel = u32::from_be_bytes([*c0, *c1, *c2, *c3]);
        if kind & FIRST == 0 {
            return self.continuation(channel, *kind, rest);
        }
        let command = kind & !FIRST;
        let [high, low, payload @ ..] = rest;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if command == INIT {
            return self.init(channel, length, payload, allocate);
        }
        if !self.channels.contains(&channel) {
            return error(channel, HidError::InvalidChannel);
        }
        match &self.state {
            State::Working { channel: busy, command: CBOR } if command == CANCEL && *busy == channel => {
                return Event::Cancel;
            }
            _ if command == CANCEL => return Event::None,
            State::Receiving { channel: busy, .. } if *busy == channel => {
                self.state = State::Idle;
                return error(channel, HidError::InvalidSequence);
            }
            State::Receiving { .. } | State::Working { .. } => return error(channel, HidError::ChannelBusy),
            State::Idle => {}
        }
        if length > MAX_MESSAGE {
            return error(channel, HidError::InvalidLength);
        }
        let message: Vec<u8> = payload.iter().copied().take(length).collect();
        if message.len() == length {
            return self.message(channel, command, message);
        }
        self.state = State::Receiving { channel, command, length, sequence: 0, message };
        Event::None
    }

    fn init(&mut self, channel: u32, length: usize, payload: &[u8], allocate: impl FnOnce() -> u32) -> Event {
        let Some(nonce) = payload.first_chunk::<8>().filter(|_| length == 8) else {
            return error(channel, HidError::InvalidLength);
        };
        let granted = if channel == BROADCAST {
            allocate()
        } else if self.channels.contains(&channel) {
            channel
        } else {
            return error(channel, HidError::InvalidChannel);
        };
        self.channels.insert(granted);
        let mut answer = nonce.to_vec();
        answer.extend(granted.to_be_bytes());
        // Protocol version 2, device version 0.1.0.
        answer.extend([2, 0, 1, 0, CAPABILITY_WINK | CAPABILITY_CBOR]);
        let answer = frame(channel, INIT, &answer);
        // INIT on a channel that is in use is the client's way to start anew (section 11.2.9.1.3).
        match self.state {
            State::Receiving { channel: busy, .. } if busy == channel => self.state = State::Idle,
            State::Working { channel: busy, .. } if busy == channel => {
                self.state = State::Idle;
                return Event::Abort(answer);
            }
            State::Idle | State::Receiving { .. } | State::Working { .. } => {}
        }
        Event::Reply(answer)
    }

    fn continuation(&mut self, channel: u32, number: u8, payload: &[u8]) -> Event {
        let State::Receiving { channel: busy, command, length, sequence, message } = &mut self.state else {
            return Event::None;
        };
        if *busy != channel {
            return Event::None;
        }
        if *sequence != number {
            self.state = State::Idle;
            return error(channel, HidError::InvalidSequence);
        }
        *sequence = sequence.saturating_add(1);
        message.extend(payload.iter().take(length.saturating_sub(message.len())));
        if message.len() < *length {
            return Event::None;
        }
        let (command, message) = (*command, std::mem::take(message));
        self.message(channel, command, message)
    }

    fn message(&mut self, channel: u32, command: u8, message: Vec<u8>) -> Event {
        self.state = State::Idle;
        let app_command = match command {
            PING => return Event::Reply(frame(channel, PING, &message)),
            WINK if message.is_empty() => return Event::Reply(frame(channel, WINK, &[])),
            WINK => return error(channel, HidError::InvalidLength),
            CBOR => Command::Cbor,
            MSG => Command::Msg,
            _ => return error(channel, HidError::InvalidCommand),
        };
        self.state = State::Working { channel, command };
        Event::Request(app_command, message)
    }

    /// Nobody wants an answer any more.
    pub fn reset(&mut self) -> Event {
        self.state = State::Idle;
        Event::Abort(Vec::new())
    }

    /// Whether the rest of a message is still to come.
    pub fn is_receiving(&self) -> bool {
        matches!(self.state, State::Receiving { .. })
    }

    /// The rest of a message did not come in time.
    pub fn time_out(&mut self) -> Vec<Report> {
        let State::Receiving { channel, .. } = self.state else { return Vec::new() };
        self.state = State::Idle;
        error_frame(channel, HidError::MessageTimeout)
    }

    /// The keepalive that a pending CBOR request wants now and then.
    pub fn keepalive(&self, status: Status) -> Vec<Report> {
        match self.state {
            State::Working { channel, command: CBOR } => frame(channel, KEEPALIVE, &[status as u8]),
            State::Idle | State::Receiving { .. } | State::Working { .. } => Vec::new(),
        }
    }

    /// The answer to the pending request.
    pub fn complete(&mut self, message: &[u8]) -> Vec<Report> {
        let State::Working { channel, command } = self.state else { return Vec::new() };
        self.state = State::Idle;
        frame(channel, command, message)
    }

    /// The pending request failed below CTAP2.
    pub fn fail(&mut self, reason: HidError) -> Vec<Report> {
        let State::Working { channel, .. } = self.state else { return Vec::new() };
        self.state = State::Idle;
        error_frame(channel, reason)
    }
}

fn error(channel: u32, reason: HidError) -> Event {
    Event::Reply(error_frame(channel, reason))
}

fn error_frame(channel: u32, reason: HidError) -> Vec<Report> {
    frame(channel, ERROR, &[reason as u8])
}

/// Cuts a message into reports.
fn frame(channel: u32, command: u8, message: &[u8]) -> Vec<Report> {
    let (first, mut rest) = message.split_at(message.len().min(FIRST_PAYLOAD));
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut reports = vec![report(channel, &[&[command | FIRST], &length[..], first])];
    for sequence in 0..=0x7F {
        if rest.is_empty() {
            break;
        }
        let (next, after) = rest.split_at(rest.len().min(NEXT_PAYLOAD));
        reports.push(report(channel, &[&[sequence], next]));
        rest = after;
    }
    reports
}

fn report(channel: u32, parts: &[&[u8]]) -> Report {
    let mut report = [0; REPORT_SIZE];
    let bytes = channel.to_be_bytes().into_iter().chain(parts.concat());
    for (place, byte) in report.iter_mut().zip(bytes) {
        *place = byte;
    }
    report
}

#[cfg(test)]
mod tests;
