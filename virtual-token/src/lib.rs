//! A CTAP2 authenticator in software, for tests and demonstrations. The authenticator itself is the crate
//! `fido-authenticator`; what is here gives it a store in a file, a touch that a test can steer, and a wire. Beside
//! it stands a smart card. On `--usb` the two are one device, as they are with a real token.
//!
//! It keeps every secret in a plain file and takes its PIN from a command line: never use it for real secrets.

pub mod attestation;
pub mod authenticator;
pub mod card;
pub mod control;
mod der;
pub mod fault;
pub mod first_pin;
pub mod flash;
pub mod hid;
pub mod platform;
pub mod services;
pub mod session;
pub mod slot;
pub mod state;
pub mod station;
pub mod token;
pub mod touch;
pub mod usb;
pub mod vpcd;
pub mod wire;
