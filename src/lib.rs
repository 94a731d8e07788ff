//! rootseal: the keys of an AWS root user, sealed behind security tokens.
//!
//! Each module is a room; `docs/architecture.md` says what lives where and who may use whom.

pub mod channel;
pub mod cli;
pub mod dbus;
pub mod secret;
