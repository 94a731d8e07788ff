//! The audit log: one JSON line for each use of a secret, granted or refused, each chained to the one before by
//! its hash and synced to disk before the secret goes out. No secret enters a record. While the vault is open each
//! carries a MAC, too.

mod chain;
mod files;
mod filter;
mod log;
mod record;
mod refusals;
mod session;
mod verify;

pub use filter::Filter;
pub use log::{Log, Note};
pub use record::{Anchor, Entry, Lost, Outcome};
pub use refusals::Refusals;
pub use session::Session;
pub use verify::{Fault, Known, REKEYED, Snapshot, Verdict};

use std::path::PathBuf;

/// Why the log cannot be written or believed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The chain does not hold: somebody or something changed the file.
    #[error(
        "the audit log {path} is damaged at record {record}: keep it as evidence under another name to begin a new one"
    )]
    Broken {
        /// The log.
        path: PathBuf,
        /// The first record that does not hold, counted from 1.
        record: u64,
    },
    /// The file at its path is not the one that the daemon writes, or not as the daemon left it.
    #[error(
        "the audit log {path} was moved away or changed: put it back, or restart the daemon to begin a new one"
    )]
    Replaced {
        /// The log.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the audit log {path} cannot be used ({kind})")]
    Io {
        /// The log.
        path: PathBuf,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
}
