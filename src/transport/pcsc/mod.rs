//! Smart cards behind PC/SC: readers that come and go ([`Readers`]), and the card in one of them ([`PcscCard`]).
//!
//! The calls of libpcsclite block, and most cannot be ended: each runs on a thread of its own, and whoever loses
//! patience goes on without it. A context is a connection to pcscd; one that was lost is replaced by the next use.

mod card;
mod readers;

pub use card::PcscCard;
pub use readers::{Interrupt, Reader, Readers};

use std::path::PathBuf;

/// Where libpcsclite looks for pcscd.
const SOCKET: &str = "/run/pcscd/pcscd.comm";

/// The socket of pcscd: it comes when pcscd, or systemd in its stead, begins to listen.
pub fn service_socket() -> PathBuf {
    std::env::var_os("PCSCLITE_CSOCK_NAME").map_or_else(|| SOCKET.into(), PathBuf::from)
}

/// Why readers cannot be listed or watched.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum ReaderError {
    /// Nobody listens at pcscd's socket.
    #[error("pcscd is not running, or not installed")]
    NotRunning,
    /// It answered before and does not any more: it was stopped or restarted. Connecting again tells which.
    #[error("pcscd was stopped or restarted")]
    Stopped,
    /// Polkit does not let this user in (`org.debian.pcsc-lite.access_pcsc`).
    #[error("pcscd does not let this user in: polkit has to allow org.debian.pcsc-lite.access_pcsc")]
    Denied,
    /// The deadline passed.
    #[error("nothing happened in time")]
    TimedOut,
    /// Somebody called [`crate::channel::Cancel::cancel`].
    #[error("cancelled")]
    Cancelled,
    /// Anything else, as PC/SC's number.
    #[error("pcscd failed ({0:#010x})")]
    Failed(u32),
}
