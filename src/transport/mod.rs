//! The kinds of [`crate::channel::Channel`] and [`crate::channel::Card`]: one module opens one kind of wire. [`watch`]
//! tells when one comes or goes.
//!
//! Devices and sockets are opened here and nowhere else; no protocol is spoken: a report is 64 bytes, and an APDU
//! some more, without meaning. Nothing here may use another room than `channel`.

pub mod features;
pub mod hidraw;
pub mod pcsc;
mod promise;
pub mod socket;
mod wait;
pub mod watch;

const REPORT: usize = 64;
