//! One-time codes: TOTP (RFC 6238), the `otpauth://` URI, base32 seeds and QR pictures of them.
//!
//! No I/O and no clock enter this room: pictures and texts come in as bytes, times as Unix seconds. Seeds
//! and codes leave it in the types of `crate::secret` alone; names and numbers that are shown to people
//! are plain text.

mod base32;
mod enrolment;
mod error;
mod qr;
mod totp;
mod uri;

pub use enrolment::Enrolment;
pub use error::OtpError;
pub use qr::read_png;
pub use totp::{Algorithm, TotpParams, code};

/// The longest `otpauth://` URI or base32 seed that is looked at, in bytes.
pub const MAX_TEXT: usize = 4096;

/// The largest PNG file that is looked at, in bytes.
pub const MAX_PNG: usize = 8 * 1024 * 1024;
