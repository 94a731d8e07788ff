//! Our own client for smart cards: PIV (NIST SP 800-73-4, on any card), and the OATH and OTP applications of a
//! YubiKey.
//!
//! Sans-IO: APDUs go in and out through [`crate::channel::Card`]. No reader is opened here, nobody is prompted, and
//! no FIDO enters. Bytes from a card are an enemy's until decoded; each response is bounded.

pub mod apdu;
mod attestation;
mod certificate;
mod client;
mod error;
mod key;
mod management;
mod oath;
mod otp;
mod slot;
#[cfg(test)]
mod tests;
pub mod tlv;
mod yubico;

pub use apdu::Session;
pub use attestation::{Attestation, Roots, Said};
pub use client::{AID, Found, PinTries, Piv, SlotKey};
pub use error::{PivError, Status};
pub use key::{PublicKey, Sealed};
pub use management::Policies;
pub use oath::{NewAccount, Oath, OathAccount, OathAnswer, OathHash, OathKind, OathName};
pub use otp::{Otp, OtpCard, OtpReports, OtpSlot, OtpStatus};
pub use slot::{Algorithm, PinPolicy, Slot, TouchPolicy};
pub use yubico::Version;
