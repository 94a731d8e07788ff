//! Codes from seeds: HOTP's HMAC and truncation (RFC 4226 section 5.3) over RFC 6238's time steps.
//!
//! Done on `hmac` rather than with the crate totp-rs: that takes the seed as a heap copy of its own, leaves
//! the HMAC result unwiped, and its types are `Clone` and `Debug`. What it would save are these few lines.

use super::OtpError;
use crate::secret::{OtpCode, TotpSeed};
use hmac::{Hmac, KeyInit, Mac};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::str::FromStr;
use zeroize::{Zeroize as _, Zeroizing};

const PERIODS: RangeInclusive<u64> = 10..=300;

/// The hash under the HMAC (RFC 6238 section 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// HMAC-SHA-1, what nearly every service uses, AWS among them.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in an `otpauth://` URI: `SHA1`, `SHA256`, `SHA512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

impl FromStr for Algorithm {
    type Err = OtpError;

    fn from_str(name: &str) -> Result<Self, OtpError> {
        [Self::Sha1, Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or(OtpError::Algorithm)
    }
}

/// How codes are made from a seed. The default is what AWS uses: SHA-1, 6 digits, 30 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpParams {
    algorithm: Algorithm,
    digits: u8,
    period: NonZeroU64,
}

impl Default for TotpParams {
    fn default() -> Self {
        const PERIOD: NonZeroU64 = NonZeroU64::new(30).unwrap();
        Self { algorithm: Algorithm::default(), digits: 6, period: PERIOD }
    }
}

impl TotpParams {
    /// Parameters as a service gave them; `period` in seconds.
    ///
    /// # Errors
    /// [`OtpError::Digits`] unless 6 or 8, [`OtpError::Period`] unless 10 to 300.
    pub fn new(algorithm: Algorithm, digits: u8, period: u64) -> Result<Self, OtpError> {
        if !matches!(digits, 6 | 8) {
            return Err(OtpError::Digits);
        }
        let period = NonZeroU64::new(period).filter(|period| PERIODS.contains(&period.get()));
        Ok(Self { algorithm, digits, period: period.ok_or(OtpError::Period)? })
    }

    /// The hash.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The length of a code: 6 or 8.
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// How long a step lasts, in seconds.
    pub const fn period(&self) -> u64 {
        self.period.get()
    }

    /// The time step that `unix_seconds` lies in (RFC 6238 section 4.2, T0 = 0).
    pub fn step_at(&self, unix_seconds: u64) -> u64 {
        unix_seconds / self.period
    }

    /// The first second (Unix time) that no longer belongs to `step`.
    pub const fn valid_until(&self, step: u64) -> u64 {
        step.saturating_add(1).saturating_mul(self.period.get())
    }
}

/// The code for `step`. That a step is used once is the caller's to see to.
pub fn code(seed: &TotpSeed, params: &TotpParams, step: u64) -> OtpCode {
    let mut number = seed.with(|key| match params.algorithm {
        Algorithm::Sha1 => hotp::<Hmac<sha1::Sha1>>(key, step),
        Algorithm::Sha256 => hotp::<Hmac<sha2::Sha256>>(key, step),
        Algorithm::Sha512 => hotp::<Hmac<sha2::Sha512>>(key, step),
    });
    let code = OtpCode::fill(usize::from(params.digits), |digits| {
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789".get((number % 10) as usize).copied().unwrap_or_default();
            number /= 10;
        }
    });
    number.zeroize();
    code
}

/// RFC 4226 section 5.3, without the last step: the 31-bit number whose low digits are the code.
fn hotp<M: Mac + KeyInit>(key: &[u8], counter: u64) -> u32 {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 section 2)")]
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&counter.to_be_bytes());
    let mut hash = mac.finalize().into_bytes();
    let offset = usize::from(hash.last().copied().unwrap_or_default() & 0x0f);
    let mut window = Zeroizing::new([0; 4]);
    for (to, from) in window.iter_mut().zip(hash.iter().skip(offset)) {
        *to = *from;
    }
    hash.as_mut_slice().zeroize();
    u32::from_be_bytes(*window) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_text(seed: &[u8], params: &TotpParams, step: u64) -> String {
        code(&TotpSeed::copy_from(seed), params, step).with(|code| String::from_utf8(code.to_vec()).unwrap())
    }

    #[test]
    fn rfc_4226_appendix_d() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, expected) in (0..).zip(codes) {
            assert_eq!(code_text(b"12345678901234567890", &TotpParams::default(), counter), expected);
        }
    }

    #[test]
    fn rfc_6238_appendix_b() {
        // The appendix repeats "1234567890" up to the length of each hash (its errata 2866 says so).
        let seed: Vec<u8> = b"1234567890".iter().copied().cycle().take(64).collect();
        let cases = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        let algorithms = [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)];
        for (time, codes) in cases {
            for ((algorithm, length), expected) in algorithms.into_iter().zip(codes) {
                let params = TotpParams::new(algorithm, 8, 30).unwrap();
                assert_eq!(code_text(&seed[..length], &params, params.step_at(time)), expected);
            }
        }
    }

    #[test]
    fn a_step_ends_where_the_next_begins() {
        let params = TotpParams::default();
        assert_eq!(params.step_at(59), 1);
        assert_eq!(params.valid_until(1), 60);
        assert_eq!(params.step_at(60), 2);
        assert_eq!(params.valid_until(u64::MAX), u64::MAX);
    }

    #[test]
    fn absurd_parameters_are_refused() {
        for digits in [0, 5, 7, 9, 255] {
            assert_eq!(TotpParams::new(Algorithm::Sha1, digits, 30), Err(OtpError::Digits));
        }
        for period in [0, 9, 301, u64::MAX] {
            assert_eq!(TotpParams::new(Algorithm::Sha1, 6, period), Err(OtpError::Period));
        }
        assert_eq!("sha512".parse(), Ok(Algorithm::Sha512));
        assert_eq!("MD5".parse::<Algorithm>(), Err(OtpError::Algorithm));
    }
}
