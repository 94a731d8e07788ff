//! Our own client for FIDO2 tokens (CTAP 2.0 and 2.1), as far as a vault needs them: framing, PIN, and
//! the `hmac-secret` extension.
//!
//! Sans-IO: reports go in and out through [`crate::channel::Channel`]. No device is opened here, nobody is
//! prompted, and no token kind other than FIDO2 enters. Bytes from a token are an enemy's until decoded.
//! Section numbers are those of the Client to Authenticator Protocol 2.1 where nothing else is said.

pub mod cbor;
mod client;
mod error;
pub mod hid;
pub mod message;
mod pin;
mod protocol;
#[cfg(test)]
mod tests;
mod wait;

pub use client::{Client, Credential, HmacOutput, HmacRequest, Probe};
pub use error::{CtapError, Status};
pub use message::NewCredential;
pub use pin::{Permission, PinRetries, PinUvToken};
pub use protocol::PinUvAuthProtocol;
pub use wait::{KeepAlive, Wait};
