//! Yubico's frames in the feature reports of a keyboard (yubikey-personalization, `ykdef.h`), as seen from the
//! keyboard: seven bytes of a frame or an answer, and one that says what they are. No I/O.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::card::{Frame, PAYLOAD, crc_is_right};

/// A feature report.
pub(super) type Report = [u8; 8];

/// What the status report shows of the application: version, programming sequence, flags.
pub(super) type Status = [u8; 6];

const PART: usize = 7;
/// Reports of a frame.
const PARTS: u8 = 10;
const FRAME: usize = 70;

// The last byte of a report: what it is, and below that its number.
/// From the host: part of a frame. From the keyboard: it is busy with what came.
const WRITE: u8 = 0x80;
/// Part of an answer.
const ANSWER: u8 = 0x40;
/// The keyboard waits to be touched; in place of the number, for how many seconds yet.
const WAITING: u8 = 0x20;
const NUMBER: u8 = 0x1F;

/// What a report of the host's asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing yet.
    None,
    /// Do this, then call [`Link::complete`].
    Command(Frame),
    /// Nobody wants the answer any more. [`Link::complete`] is due all the same.
    Forget,
}

#[derive(Debug)]
enum State {
    Idle,
    Receiving {
        /// The first number that may come: those between may be left out.
        next: u8,
        frame: [u8; FRAME],
    },
    Working {
        /// When the wait for a touch ends.
        touch_until: Option<Instant>,
    },
    /// Working at what nobody wants any more.
    Ending,
    Answering(VecDeque<Report>),
}

/// The keyboard's end of the wire.
#[derive(Debug)]
pub(super) struct Link(State);

impl Default for Link {
    fn default() -> Self {
        Self(State::Idle)
    }
}

impl Link {
    /// Takes in one report. While the keyboard is busy it hears nothing but the end.
    pub(super) fn take(&mut self, report: Report) -> Event {
        let [part @ .., last] = report;
        if last & WRITE == 0 {
            return Event::None;
        }
        // No frame has such a number: yubikey-personalization ends with 0x8F, yubikey-manager with 0xFF.
        let (number, ends) = (last & NUMBER, last & NUMBER >= PARTS);
        match &mut self.0 {
            State::Working { .. } if ends => {
                self.0 = State::Ending;
                return Event::Forget;
            }
            State::Working { .. } | State::Ending => {}
            _ if ends => self.0 = State::Idle,
            State::Receiving { next, frame } if number >= *next => {
                *next = number.saturating_add(1);
                put(frame, number, part);
                if number == PARTS - 1 {
                    let whole = *frame;
                    return self.command(&whole);
                }
            }
            State::Idle | State::Receiving { .. } | State::Answering(_) => {
                self.0 = State::Idle;
                if number == 0 {
                    let mut frame = [0; FRAME];
                    put(&mut frame, number, part);
                    self.0 = State::Receiving { next: 1, frame };
                }
            }
        }
        Event::None
    }

    fn command(&mut self, frame: &[u8; FRAME]) -> Event {
        self.0 = State::Idle;
        match frame.split_first_chunk::<PAYLOAD>() {
            Some((payload, &[command, low, high, ..])) if crc_is_right(payload, [low, high]) => {
                self.0 = State::Working { touch_until: None };
                Event::Command(Frame { command, payload: *payload })
            }
            _ => Event::None,
        }
    }

    /// The report that the host fetches; the status, as long as it is not known, is one of a busy keyboard.
    pub(super) fn report(&mut self, status: Option<Status>) -> Report {
        let flags = match &mut self.0 {
            State::Answering(parts) => return parts.pop_front().unwrap_or(with(&[], ANSWER)),
            State::Working { touch_until: Some(until) } => {
                let left = until.saturating_duration_since(Instant::now()).as_secs();
                WAITING | u8::try_from(left).map_or(NUMBER, |left| left.min(NUMBER))
            }
            State::Working { touch_until: None } | State::Ending => WRITE,
            State::Idle | State::Receiving { .. } => {
                if status.is_some() {
                    0
                } else {
                    WRITE
                }
            }
        };
        with(&[&[0][..], &status.unwrap_or_default()].concat(), flags)
    }

    /// The command waits for a touch, that long; or no longer.
    pub(super) fn wait(&mut self, patience: Option<Duration>) {
        if let State::Working { touch_until } = &mut self.0 {
            *touch_until = patience.and_then(|patience| Instant::now().checked_add(patience));
        }
    }

    /// The command is done, and this is its answer with its checksum: nothing, when there is none.
    pub(super) fn complete(&mut self, answer: &[u8]) {
        self.0 = match self.0 {
            State::Working { .. } if !answer.is_empty() => {
                let parts = (ANSWER..).zip(answer.chunks(PART)).map(|(last, part)| with(part, last));
                State::Answering(parts.collect())
            }
            State::Idle
            | State::Receiving { .. }
            | State::Working { .. }
            | State::Ending
            | State::Answering(_) => State::Idle,
        };
    }
}

/// Puts a part into its place.
fn put(frame: &mut [u8; FRAME], number: u8, part: [u8; PART]) {
    if let Some(place) = frame.as_chunks_mut::<PART>().0.get_mut(usize::from(number)) {
        *place = part;
    }
}

fn with(part: &[u8], last: u8) -> Report {
    let mut report = [0; 8];
    for (place, byte) in report.iter_mut().zip(part) {
        *place = *byte;
    }
    let [.., flags] = &mut report;
    *flags = last;
    report
}

#[cfg(test)]
mod tests;
