//! rootseal: the keys of an AWS root user, sealed behind security tokens.
//!
//! Each module is a room; `docs/architecture.md` says what lives where and who may use whom.

pub mod audit;
pub mod aws;
pub mod channel;
pub mod cli;
pub mod crypto;
pub mod ctap;
pub mod daemon;
pub mod dbus;
pub mod otp;
pub mod piv;
pub mod secret;
pub mod service;
pub mod store;
pub mod token;
pub mod transport;
pub mod vault;
