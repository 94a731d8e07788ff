//! What can be wrong with a seed, a URI or a picture. No message repeats any part of the input's secret.

/// Why a TOTP seed could not be taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum OtpError {
    /// More than [`super::MAX_TEXT`] bytes.
    #[error("the TOTP secret is too long: at most 4096 characters are read")]
    TextTooLong,
    /// Nothing but spaces, dashes and padding.
    #[error("the TOTP secret is empty")]
    EmptySecret,
    /// A character outside of RFC 4648's base32 alphabet; the position counts from 1.
    #[error("the TOTP secret is not base32: character {position} is none of A-Z and 2-7")]
    NotBase32 {
        /// Where the character stands, counted from 1.
        position: usize,
    },
    /// A number of characters that no whole number of bytes gives (RFC 4648 section 6).
    #[error("the TOTP secret is not base32: a character is missing or one too many")]
    Base32Length,
    /// The text does not begin with `otpauth://`.
    #[error("this is no otpauth:// URI")]
    NotOtpauth,
    /// `otpauth://hotp/…`.
    #[error("the URI is for counter-based codes (hotp), and only time-based ones (totp) are supported")]
    CounterBased,
    /// `otpauth://` with a type that is neither totp nor hotp.
    #[error("the otpauth URI is not of the type totp")]
    UnknownType,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8 where a name is expected.
    #[error("the otpauth URI is damaged: its percent-encoding cannot be read")]
    BadEncoding,
    /// A name with characters that could make a prompt show something else.
    #[error("the otpauth URI names its account or issuer with control characters")]
    ControlCharacters,
    /// No `secret=`.
    #[error("the otpauth URI has no secret in it")]
    MissingSecret,
    /// A parameter that may stand once stands twice.
    #[error("the otpauth URI gives {0} more than once")]
    Duplicate(&'static str),
    /// `algorithm=` is none of SHA1, SHA256, SHA512.
    #[error("the TOTP algorithm is none of SHA1, SHA256 and SHA512")]
    Algorithm,
    /// `digits=` is neither 6 nor 8.
    #[error("the number of TOTP digits must be 6 or 8")]
    Digits,
    /// `period=` is out of range.
    #[error("the TOTP period must be between 10 and 300 seconds")]
    Period,
    /// The bytes do not begin with PNG's signature.
    #[error("the picture is not a PNG file")]
    NotPng,
    /// More bytes or more pixels than are looked at.
    #[error("the picture is too large: at most 8 MiB and 4096 by 4096 pixels are read")]
    PictureTooLarge,
    /// A PNG that cannot be decoded.
    #[error("the PNG file is damaged")]
    DamagedPng,
    /// Nothing that looks like a QR code.
    #[error("there is no QR code in the picture")]
    NoQrCode,
    /// Something that looks like a QR code and cannot be read.
    #[error("the QR code in the picture cannot be read: take a sharper picture of the whole code")]
    UnreadableQrCode,
    /// More than one readable QR code.
    #[error("there are several QR codes in the picture: cut out the one that is meant")]
    SeveralQrCodes,
    /// A readable QR code with something else in it.
    #[error("the QR code in the picture holds no otpauth:// URI")]
    QrWithoutOtpauth,
}
