//! What the card keeps of PIV beside the crate: the crate neither tells nor keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::{apdu::Status, tlv::find};

/// Wrong tries of PIN and PUK that a fresh card allows.
pub(super) const TRIES: u8 = 3;
/// 3DES, which the factory's management key is for.
pub(super) const TDES: u8 = 0x03;

const ALGORITHM: u16 = 0x80;
const PIN_POLICY: u16 = 0xAA;
const TOUCH_POLICY: u16 = 0xAB;

/// Whether a key wants the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(super) enum PinPolicy {
    Never = 1,
    Once = 2,
    Always = 3,
}

/// Whether a key wants a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(super) enum TouchPolicy {
    Never = 1,
    Always = 2,
    Cached = 3,
}

/// A key that was made here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) algorithm: u8,
    pub(super) pin: PinPolicy,
    pub(super) touch: TouchPolicy,
    /// The elements in the answer's 7F49.
    pub(super) public: Vec<u8>,
}

/// All of it.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pin_changed: bool,
    pub(super) puk_changed: bool,
    /// Wrong PUKs in a row.
    pub(super) puk_failures: u8,
    /// The algorithm of a management key that is not the factory's.
    pub(super) management: Option<u8>,
    pub(super) keys: BTreeMap<u8, Key>,
    /// Printed Information was written.
    #[serde(default)]
    pub(super) printed: bool,
    /// Yubico's data objects, by tag.
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// The key that attests the others.
    pub(super) attestation: Option<Vec<u8>>,
}

impl Record {
    /// Counts wrong PUKs.
    pub(super) fn puk_tried(&mut self, right: bool) {
        self.puk_failures = if right { 0 } else { self.puk_failures.saturating_add(1) };
    }
}

impl Key {
    /// What GENERATE asks for. The crate has its own rule for each slot, and a policy may only be stricter.
    pub(super) fn wanted(slot: u8, template: &[u8]) -> Result<Self, Status> {
        let byte = |tag, default| match find(template, tag) {
            None | Some([0]) => Ok(default),
            Some([byte]) => Ok(*byte),
            Some(_) => Err(Status::DATA),
        };
        let least = match slot {
            0x9C => PinPolicy::Always,
            0x9E => PinPolicy::Never,
            _ => PinPolicy::Once,
        };
        let pin = match byte(PIN_POLICY, least as u8)? {
            1 => PinPolicy::Never,
            2 => PinPolicy::Once,
            3 => PinPolicy::Always,
            _ => return Err(Status::DATA),
        };
        let touch = match byte(TOUCH_POLICY, TouchPolicy::Never as u8)? {
            1 => TouchPolicy::Never,
            2 => TouchPolicy::Always,
            3 => TouchPolicy::Cached,
            _ => return Err(Status::DATA),
        };
        if (pin as u8) < least as u8 {
            return Err(Status::DATA);
        }
        Ok(Self { algorithm: byte(ALGORITHM, 0)?, pin, touch, public: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_the_slots_defaults() {
        let key = Key::wanted(0x9D, &[0x80, 1, 0x11]).unwrap();
        assert_eq!((key.algorithm, key.pin, key.touch), (0x11, PinPolicy::Once, TouchPolicy::Never));
        assert_eq!(Key::wanted(0x9C, &[0x80, 1, 0x11]).unwrap().pin, PinPolicy::Always);
        let key = Key::wanted(0x82, &[0x80, 1, 0x14, 0xAA, 1, 3, 0xAB, 1, 2]).unwrap();
        assert_eq!((key.algorithm, key.pin, key.touch), (0x14, PinPolicy::Always, TouchPolicy::Always));
    }

    #[test]
    fn a_policy_that_cannot_be_kept_is_refused() {
        assert_eq!(Key::wanted(0x9D, &[0x80, 1, 0x11, 0xAA, 1, 1]), Err(Status::DATA));
        assert_eq!(Key::wanted(0x9C, &[0x80, 1, 0x11, 0xAA, 1, 2]), Err(Status::DATA));
        assert_eq!(Key::wanted(0x9D, &[0x80, 1, 0x11, 0xAB, 1, 9]), Err(Status::DATA));
    }
}
