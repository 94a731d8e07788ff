//! The kinds of [`crate::channel::Channel`]: one file opens one kind of wire.
//!
//! Devices and sockets are opened here and nowhere else; no protocol is spoken, and a report is 64 bytes
//! without meaning. Nothing here may use another room than `channel`.

pub mod hidraw;
pub mod socket;
mod wait;

const REPORT: usize = 64;
