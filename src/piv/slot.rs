//! The places and kinds of keys (SP 800-73-4 part 1 table 4b, SP 800-78-4 table 6-2, and Yubico's numbers for what
//! those do not have).

use super::PivError;
use crate::crypto::ecdh::Curve;
use std::fmt;
use std::str::FromStr;

/// A slot for a key that may agree or decrypt without being the card's identity: 9d, or retired, 82 to 95.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u8);

impl Slot {
    /// Key management.
    pub const KEY_MANAGEMENT: Self = Self(0x9d);

    /// The slot with this number.
    ///
    /// # Errors
    /// [`PivError::Unsupported`] for any other than 9d and 82 to 95 (hexadecimal).
    pub fn new(number: u8) -> Result<Self, PivError> {
        match number {
            0x9d | 0x82..=0x95 => Ok(Self(number)),
            _ => Err(PivError::NoSuchChoice("the slot of a keyslot is 9d, or one of 82 to 95")),
        }
    }

    /// All of them, 9d first.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::KEY_MANAGEMENT).chain((0x82..=0x95).map(Self))
    }

    /// The key reference.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The tag of the object with its certificate: `5FC10B`, or `5FC10D` to `5FC120`.
    pub(super) fn certificate(self) -> [u8; 3] {
        let last = if self.0 == 0x9d { 0x0b } else { self.0.wrapping_sub(0x82).wrapping_add(0x0d) };
        [0x5f, 0xc1, last]
    }
}

/// Two hexadecimal digits, as every PIV tool writes them.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl FromStr for Slot {
    type Err = PivError;

    fn from_str(text: &str) -> Result<Self, PivError> {
        // Zero is no slot: it stands for what is no number.
        Self::new(if text.len() == 2 { u8::from_str_radix(text, 16).unwrap_or(0) } else { 0 })
    }
}

/// A kind of key that a keyslot can stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDH on P-256.
    EccP256,
    /// ECDH on P-384.
    EccP384,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits; Yubico's number.
    Rsa4096,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::EccP256, Self::EccP384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The algorithm identifier.
    pub const fn number(self) -> u8 {
        match self {
            Self::EccP256 => 0x11,
            Self::EccP384 => 0x14,
            Self::Rsa2048 => 0x07,
            Self::Rsa3072 => 0x05,
            Self::Rsa4096 => 0x16,
        }
    }

    /// The name in commands and listings: `p256`, `rsa2048`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EccP256 => "p256",
            Self::EccP384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }

    /// The curve, if it has one.
    pub const fn curve(self) -> Option<Curve> {
        match self {
            Self::EccP256 => Some(Curve::P256),
            Self::EccP384 => Some(Curve::P384),
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => None,
        }
    }

    pub(super) fn of(number: u8, slot: Slot) -> Result<Self, PivError> {
        let foreign = PivError::ForeignAlgorithm { slot: slot.0, algorithm: number };
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number).ok_or(foreign)
    }
}

impl FromStr for Algorithm {
    type Err = PivError;

    fn from_str(name: &str) -> Result<Self, PivError> {
        let named = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        named.ok_or(PivError::NoSuchChoice(
            "the algorithm of a new key is one of p256, p384, rsa2048, rsa3072 and rsa4096",
        ))
    }
}

/// When a YubiKey wants the PIN for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPolicy {
    /// Never.
    Never,
    /// Once after the application was selected.
    Once,
    /// Before each use.
    Always,
    /// A fingerprint, or the PIN, once.
    MatchOnce,
    /// A fingerprint, or the PIN, before each use.
    MatchAlways,
}

impl PinPolicy {
    /// Its number in GENERATE and in metadata.
    pub const fn number(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Once => 2,
            Self::Always => 3,
            Self::MatchOnce => 4,
            Self::MatchAlways => 5,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        let all = [Self::Never, Self::Once, Self::Always, Self::MatchOnce, Self::MatchAlways];
        all.into_iter().find(|policy| policy.number() == number)
    }
}

/// When a YubiKey wants to be touched for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchPolicy {
    /// Never.
    Never,
    /// For each use.
    Always,
    /// For each use, but not within 15 seconds of the last touch.
    Cached,
}

impl TouchPolicy {
    /// Its number in GENERATE and in metadata.
    pub const fn number(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Always => 2,
            Self::Cached => 3,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Never, Self::Always, Self::Cached].into_iter().find(|policy| policy.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_numbers_names_and_objects() {
        assert_eq!(Slot::all().count(), 21);
        for slot in Slot::all() {
            assert_eq!(slot.to_string().parse(), Ok(slot));
        }
        let object = |text: &str| text.parse::<Slot>().unwrap().certificate();
        assert_eq!(object("9d"), [0x5f, 0xc1, 0x0b]);
        assert_eq!((object("82"), object("95")), ([0x5f, 0xc1, 0x0d], [0x5f, 0xc1, 0x20]));
        for wrong in ["9a", "9c", "96", "81", "", "9", "09d", "+9", "zz"] {
            assert!(wrong.parse::<Slot>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn algorithms_have_numbers_and_names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(Algorithm::of(algorithm.number(), Slot::KEY_MANAGEMENT), Ok(algorithm));
        }
        let foreign = PivError::ForeignAlgorithm { slot: 0x9d, algorithm: 0xe1 };
        assert_eq!(Algorithm::of(0xe1, Slot::KEY_MANAGEMENT), Err(foreign));
        assert!(
            (0..=9).filter_map(PinPolicy::of).all(|policy| PinPolicy::of(policy.number()) == Some(policy))
        );
        assert_eq!((0..=9).filter_map(TouchPolicy::of).count(), 3);
    }
}
