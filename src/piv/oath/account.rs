//! What an account is called and how its codes are made.

use crate::piv::PivError;

/// Bytes of the longest name.
const MAX_NAME: usize = 64;
/// Seconds of a step, where the name does not say otherwise.
const PERIOD: u32 = 30;

/// The hash under an account's HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OathHash {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl OathHash {
    /// Its name, as in an `otpauth://` URI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// What moves an account's codes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OathKind {
    /// Time.
    Totp,
    /// A counter in the token: each code that is asked for is spent.
    Hotp,
}

/// An account that [`super::Oath::list`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OathAccount {
    /// Its name; the token's own words.
    pub name: OathName,
    /// Time or counter.
    pub kind: OathKind,
    /// The hash.
    pub hash: OathHash,
}

/// An account's name, 1 to 64 bytes: `issuer:account`, with `60/` before where a step takes other than 30 seconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OathName(Vec<u8>);

impl OathName {
    /// A name as the token has it.
    ///
    /// # Errors
    /// [`PivError::Unsupported`] unless 1 to 64 bytes.
    pub fn new(name: &[u8]) -> Result<Self, PivError> {
        match name.len() {
            1..=MAX_NAME => Ok(Self(name.to_vec())),
            _ => Err(PivError::Unsupported("an OATH name that has not 1 to 64 bytes")),
        }
    }

    /// The name of an account with steps of `period` seconds.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_period(name: &str, period: u32) -> Result<Self, PivError> {
        if period == PERIOD {
            Self::new(name.as_bytes())
        } else {
            Self::new(format!("{period}/{name}").as_bytes())
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Without the period, as text: what is none is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.split().1).into_owned()
    }

    /// Seconds of a step, as the name says. Of an account with a counter it means nothing.
    pub fn period(&self) -> u32 {
        self.split().0
    }

    fn split(&self) -> (u32, &[u8]) {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.0.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match (number, self.0.get(digits..)) {
            (Some(period @ 1..), Some([b'/', rest @ ..])) if !rest.is_empty() => (period, rest),
            _ => (PERIOD, &self.0),
        }
    }
}

pub(super) fn algorithm(kind: OathKind, hash: OathHash) -> u8 {
    let kind = match kind {
        OathKind::Hotp => 0x10,
        OathKind::Totp => 0x20,
    };
    kind | match hash {
        OathHash::Sha1 => 0x01,
        OathHash::Sha256 => 0x02,
        OathHash::Sha512 => 0x03,
    }
}

pub(super) fn kind(algorithm: u8) -> Option<OathKind> {
    match algorithm & 0xf0 {
        0x10 => Some(OathKind::Hotp),
        0x20 => Some(OathKind::Totp),
        _ => None,
    }
}

pub(super) fn hash_of(algorithm: u8) -> Option<OathHash> {
    match algorithm & 0x0f {
        0x01 => Some(OathHash::Sha1),
        0x02 => Some(OathHash::Sha256),
        0x03 => Some(OathHash::Sha512),
        _ => None,
    }
}
