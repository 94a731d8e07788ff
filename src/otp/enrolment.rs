//! A seed with all that is known about it when it is taken over.

use super::{OtpError, TotpParams, base32, uri};
use crate::secret::TotpSeed;

/// RFC 4226 section 4, R6: the shared secret must be at least 128 bits long.
const STRONG: usize = 16;

/// A TOTP seed and how its service describes it.
pub struct Enrolment {
    /// The seed, decoded.
    pub seed: TotpSeed,
    /// How codes are made of it.
    pub params: TotpParams,
    /// Who issued it (`AWS`), where that was said. Free of control characters.
    pub issuer: Option<String>,
    /// Whose it is (`root-account-mfa-device@111122223333`), where that was said. Free of control characters.
    pub account: Option<String>,
    /// The seed is shorter than the 128 bits that RFC 4226 demands: it works, and deserves a warning.
    pub weak: bool,
}

impl Enrolment {
    /// Takes what a user hands over: an `otpauth://` URI, or a bare base32 seed with AWS's parameters.
    ///
    /// # Errors
    /// [`OtpError`], when it is neither.
    pub fn from_text(text: &[u8]) -> Result<Self, OtpError> {
        // No base32 text has a colon, so a URI of another scheme gets the better message.
        if text.contains(&b':') { Self::from_uri(text) } else { Self::from_base32(text) }
    }

    /// Reads a base32 seed, in any case, with spaces, dashes and padding or without; the parameters are
    /// AWS's: SHA-1, 6 digits, 30 seconds.
    ///
    /// # Errors
    /// [`OtpError`], when it is none.
    pub fn from_base32(text: &[u8]) -> Result<Self, OtpError> {
        Ok(Self::new(base32::decode(text)?, TotpParams::default(), None, None))
    }

    /// Reads an `otpauth://totp/…` URI.
    ///
    /// # Errors
    /// [`OtpError`], when it is none or something in it cannot be right.
    pub fn from_uri(text: &[u8]) -> Result<Self, OtpError> {
        uri::parse(text)
    }

    pub(super) fn new(
        seed: TotpSeed,
        params: TotpParams,
        issuer: Option<String>,
        account: Option<String>,
    ) -> Self {
        let weak = seed.with(|seed| seed.len() < STRONG);
        Self { seed, params, issuer, account, weak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_seed_is_taken_and_flagged() {
        assert!(Enrolment::from_base32(b"GEZDGNBVGY3TQOJQ").unwrap().weak);
        assert!(!Enrolment::from_base32(b"GEZDGNBVGY3TQOJQGEZDGNBVGY").unwrap().weak);
    }

    #[test]
    fn text_is_a_uri_or_a_seed() {
        assert!(Enrolment::from_text(b"otpauth://totp/a?secret=MZXW6YTB").unwrap().account.is_some());
        assert!(Enrolment::from_text(b"MZXW 6YTB").unwrap().account.is_none());
        assert_eq!(Enrolment::from_text(b"https://example.com/").err(), Some(OtpError::NotOtpauth));
        assert_eq!(Enrolment::from_text(b"hello, world").err(), Some(OtpError::NotBase32 { position: 6 }));
    }
}
