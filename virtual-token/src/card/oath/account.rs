//! One account: its seed, and its codes (RFC 4226, section 5.3; RFC 6238).

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::{NAME_LIST, RESPONSE, TRUNCATED};
use crate::card::{
    apdu::{Answer, Status},
    tlv::element,
};

const HOTP: u8 = 0x10;
const TOTP: u8 = 0x20;
/// The block of SHA-512: a client hashes longer seeds first.
const MAX_SEED: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(super) enum Algorithm {
    Sha1 = 1,
    Sha256 = 2,
    Sha512 = 3,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) name: Vec<u8>,
    /// [`HOTP`] or [`TOTP`].
    kind: u8,
    algorithm: Algorithm,
    pub(super) digits: u8,
    seed: Vec<u8>,
    pub(super) touch: bool,
    /// Of HOTP: the next one.
    pub(super) counter: u32,
}

impl Account {
    /// From the value of a KEY element: kind and algorithm, digits, seed.
    pub(super) fn new(name: &[u8], key: &[u8]) -> Result<Self, Status> {
        let [kind, digits @ 6..=8, seed @ ..] = key else { return Err(Status::DATA) };
        let algorithm = match kind & 0x0F {
            1 => Algorithm::Sha1,
            2 => Algorithm::Sha256,
            3 => Algorithm::Sha512,
            _ => return Err(Status::DATA),
        };
        let kind = kind & 0xF0;
        if !matches!(kind, HOTP | TOTP) || !(1..=MAX_SEED).contains(&seed.len()) {
            return Err(Status::DATA);
        }
        let (name, seed) = (name.to_vec(), seed.to_vec());
        Ok(Self { name, kind, algorithm, digits: *digits, seed, touch: false, counter: 0 })
    }

    pub(super) fn is_hotp(&self) -> bool {
        self.kind == HOTP
    }

    /// Its line in a list.
    pub(super) fn listed(&self) -> Vec<u8> {
        element(NAME_LIST, &[&[self.kind | self.algorithm as u8], &self.name[..]].concat())
    }

    /// The challenge of HOTP, once.
    pub(super) fn next_counter(&mut self) -> Result<[u8; 8], Status> {
        let counter = self.counter;
        self.counter = counter.checked_add(1).ok_or(Status::CONDITIONS)?;
        Ok(u64::from(counter).to_be_bytes())
    }

    /// The answer to a challenge: digits and HMAC, the latter truncated to 31 bits if wanted.
    pub(super) fn code(&self, challenge: &[u8], truncated: bool) -> Answer {
        macro_rules! hmac {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(&self.seed).map_err(|_length| Status::MEMORY)?;
                mac.update(challenge);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        let mac = match self.algorithm {
            Algorithm::Sha1 => hmac!(Sha1),
            Algorithm::Sha256 => hmac!(Sha256),
            Algorithm::Sha512 => hmac!(Sha512),
        };
        if !truncated {
            return Ok(element(RESPONSE, &[&[self.digits], &mac[..]].concat()));
        }
        let offset = usize::from(mac.last().copied().unwrap_or_default() & 0x0F);
        let [a, rest @ ..] = mac.get(offset..).and_then(<[u8]>::first_chunk::<4>).ok_or(Status::MEMORY)?;
        Ok(element(TRUNCATED, &[&[self.digits, a & 0x7F], &rest[..]].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: 8 digits at 59 s and at 20000000000 s.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let seed = b"1234567890".repeat(7);
        for (kind, length, time, expected) in [
            (0x21, 20, 59, 94_287_082),
            (0x22, 32, 59, 46_119_246),
            (0x23, 64, 59, 90_693_936),
            (0x21, 20, 20_000_000_000_u64, 65_353_130),
            (0x22, 32, 20_000_000_000, 77_737_706),
            (0x23, 64, 20_000_000_000, 47_863_826),
        ] {
            let account = Account::new(b"x", &[&[kind, 8], &seed[..length]].concat()).unwrap();
            let answer = account.code(&(time / 30).to_be_bytes(), true).unwrap();
            assert_eq!(answer[..3], [0x76, 5, 8]);
            let number = u32::from_be_bytes(answer[3..].try_into().unwrap());
            assert_eq!(number % 100_000_000, expected);
        }
    }

    #[test]
    fn what_is_no_account_is_refused() {
        for key in [&[][..], &[0x21], &[0x21, 6], &[0x21, 5, 1], &[0x21, 9, 1], &[0x24, 6, 1], &[0x31, 6, 1]]
        {
            assert!(Account::new(b"x", key).is_err(), "{key:02x?}");
        }
    }
}
