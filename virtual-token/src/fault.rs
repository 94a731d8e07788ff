//! What the token does wrong on command: one place for all of it, whatever the wire. It also counts what passes,
//! so that a test can have the token vanish at every single step of an operation.

use std::{
    fmt,
    num::NonZeroU64,
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// One kind of misbehaviour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None.
    #[default]
    None,
    /// It takes in whatever comes, and answers nothing.
    Stop,
    /// Its answers are noise: reports behind their channel, response APDUs from the first byte to the last.
    Garble,
    /// It vanishes from its port in place of this frame or APDU, and stays away until it is plugged in. Once.
    DropAt(Step),
    /// Its power fails for a moment in place of this frame or APDU. Once.
    Reset(Step),
    /// It asks for more time, for ever.
    Keepalive,
    /// The points that it gives out are not on their curve.
    BadPoint,
}

/// A step of a conversation, counted from the command that named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    number: NonZeroU64,
    /// On which interface; either, if none is named.
    interface: Option<Interface>,
}

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// HID reports in both directions, except `KEEPALIVE`, whose number is a matter of time.
    Hid,
    /// Command APDUs and response APDUs.
    Card,
}

/// What to do with a frame or an APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Let it pass.
    Pass,
    /// Swallow it.
    Swallow,
    /// Vanish instead.
    Vanish,
    /// Lose the power for a moment instead.
    Reset,
}

const USAGE: &str =
    "the faults are none, stop, garble, drop-at N [hid|card], reset [N [hid|card]], keepalive, bad-point";

impl FromStr for Fault {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        let step = |number: &str, interface: Option<Interface>| {
            number.parse().map(|number| Step { number, interface }).map_err(|_number| USAGE)
        };
        let interface = |name: &str| match name {
            "hid" => Ok(Some(Interface::Hid)),
            "card" => Ok(Some(Interface::Card)),
            _ => Err(USAGE),
        };
        Ok(match words[..] {
            ["none"] => Self::None,
            ["stop"] => Self::Stop,
            ["garble"] => Self::Garble,
            ["keepalive"] => Self::Keepalive,
            ["bad-point"] => Self::BadPoint,
            ["reset"] => Self::Reset(step("1", None)?),
            ["reset", number] => Self::Reset(step(number, None)?),
            ["reset", number, name] => Self::Reset(step(number, interface(name)?)?),
            ["drop-at", number] => Self::DropAt(step(number, None)?),
            ["drop-at", number, name] => Self::DropAt(step(number, interface(name)?)?),
            _ => return Err(USAGE),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, step) = match self {
            Self::None => ("none", None),
            Self::Stop => ("stop", None),
            Self::Garble => ("garble", None),
            Self::Keepalive => ("keepalive", None),
            Self::BadPoint => ("bad-point", None),
            Self::DropAt(step) => ("drop-at", Some(step)),
            Self::Reset(step) => ("reset", Some(step)),
        };
        f.write_str(name)?;
        let Some(Step { number, interface }) = step else { return Ok(()) };
        write!(f, " {number}")?;
        match interface {
            None => Ok(()),
            Some(Interface::Hid) => f.write_str(" hid"),
            Some(Interface::Card) => f.write_str(" card"),
        }
    }
}

/// How many frames and APDUs passed since the last `fault` command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// HID reports.
    pub frames: u64,
    /// APDUs.
    pub apdus: u64,
}

/// The fault that is on, and the counts.
#[derive(Debug)]
pub struct Faults {
    fault: watch::Sender<Fault>,
    counts: Mutex<Counts>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { fault: watch::Sender::new(Fault::None), counts: Mutex::default() }
    }
}

impl Faults {
    fn count(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, do this wrong; counting starts anew.
    pub fn set(&self, fault: Fault) {
        let mut counts = self.count();
        *counts = Counts::default();
        self.fault.send_replace(fault);
    }

    /// What is done wrong.
    pub fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// How much has passed.
    pub fn counts(&self) -> Counts {
        *self.count()
    }

    /// Counts one frame or APDU, and says what to do with it.
    pub fn step(&self, interface: Interface) -> Verdict {
        let mut counts = self.count();
        let counter = match interface {
            Interface::Hid => &mut counts.frames,
            Interface::Card => &mut counts.apdus,
        };
        *counter = counter.saturating_add(1);
        let now = *counter;
        let due =
            |step: Step| step.number.get() <= now && step.interface.is_none_or(|wanted| wanted == interface);
        let verdict = match self.fault() {
            Fault::Stop => return Verdict::Swallow,
            Fault::DropAt(step) if due(step) => Verdict::Vanish,
            Fault::Reset(step) if due(step) => Verdict::Reset,
            Fault::None
            | Fault::Garble
            | Fault::Keepalive
            | Fault::BadPoint
            | Fault::DropAt(_)
            | Fault::Reset(_) => return Verdict::Pass,
        };
        self.fault.send_replace(Fault::None);
        verdict
    }

    /// Whether not even a sign of life may leave.
    pub fn is_silent(&self) -> bool {
        self.fault() == Fault::Stop
    }

    /// Whether answers are held back while the token asks for time.
    pub fn holds_back(&self) -> bool {
        self.fault() == Fault::Keepalive
    }

    /// Returns when answers are no longer held back.
    pub async fn released(&self) {
        self.fault.subscribe().wait_for(|fault| *fault != Fault::Keepalive).await.ok();
    }

    /// Makes noise of an answer, if that is due. The same noise for the same step.
    pub fn garble(&self, answer: &mut [u8]) {
        if self.fault() != Fault::Garble {
            return;
        }
        let Counts { frames, apdus } = self.counts();
        // xorshift64: any state but zero will do.
        let mut noise = frames.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(apdus) | 1;
        for byte in answer {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            *byte ^= noise.to_be_bytes()[0];
        }
    }

    /// Moves the point at the end of an answer off its curve, if that is due.
    pub fn spoil_point(&self, answer: &mut [u8]) {
        if self.fault() == Fault::BadPoint
            && let Some(last) = answer.last_mut()
        {
            // Of all points with this x, no other one has nearly the same y.
            *last ^= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_parse_and_print_alike() {
        for text in [
            "none",
            "stop",
            "garble",
            "drop-at 3",
            "drop-at 9 hid",
            "reset 1",
            "reset 2 card",
            "keepalive",
            "bad-point",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert_eq!("reset".parse::<Fault>().unwrap().to_string(), "reset 1");
        for text in ["", "drop-at", "drop-at 0", "drop-at -1", "drop-at 1 usb", "stop 1", "none none"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_drop_comes_at_its_step_and_once() {
        let faults = Faults::default();
        faults.set("drop-at 3 card".parse().unwrap());
        let steps: Vec<_> = (0..5).map(|_| faults.step(Interface::Card)).collect();
        assert_eq!(steps[..2], [Verdict::Pass; 2]);
        assert_eq!(steps[2..], [Verdict::Vanish, Verdict::Pass, Verdict::Pass]);
        assert_eq!(faults.counts(), Counts { frames: 0, apdus: 5 });
        faults.set("reset".parse().unwrap());
        assert_eq!(faults.counts(), Counts::default());
        assert_eq!(faults.step(Interface::Hid), Verdict::Reset);
    }

    #[test]
    fn answers_are_spoiled_only_on_command() {
        let faults = Faults::default();
        let mut answer = [7; 8];
        faults.garble(&mut answer);
        faults.spoil_point(&mut answer);
        assert_eq!(answer, [7; 8]);
        faults.set(Fault::BadPoint);
        faults.spoil_point(&mut answer);
        assert_eq!(answer, [7, 7, 7, 7, 7, 7, 7, 6]);
        faults.set(Fault::Garble);
        faults.garble(&mut answer);
        assert_ne!(answer, [7, 7, 7, 7, 7, 7, 7, 6]);
    }
}
