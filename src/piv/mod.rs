//! Our own client for smart cards: PIV (NIST SP 800-73-4, on any card), and the OATH and OTP applications of a
//! YubiKey.
//!
//! Sans-IO: APDUs go in and out through [`crate::channel::Card`]. No reader is opened here, nobody is prompted, and
//! no FIDO enters. Bytes from a card are an enemy's until decoded; each response is bounded.

pub mod apdu;
mod error;
#[cfg(test)]
mod tests;
pub mod tlv;

pub use apdu::Session;
pub use error::{PivError, Status};
