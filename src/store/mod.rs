//! Where a vault's bytes are kept. Opaque bytes only: no format, no key, nothing of the other rooms.

mod file;
mod reserve;

pub use file::FileStore;
pub use reserve::{Reserve, is_full};

use std::io;
use std::path::Path;

/// A place for one vault and for what this machine remembers of it.
pub trait Store: Send {
    /// Where the vault is, for messages.
    fn path(&self) -> &Path;

    /// The vault, or nothing where there is none yet. From then on, [`Store::save`] replaces what this
    /// has read, and nothing else.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::TooLarge`], [`StoreError::NotAFile`].
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError>;

    /// The vault as it is now, without becoming what [`Store::save`] replaces.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn peek(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the vault, all or nothing: after an error other than [`StoreError::InDoubt`] the old one
    /// is there, whole.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if what is there is not what was loaded or saved last;
    /// [`StoreError::InDoubt`]; [`StoreError::Io`].
    fn save(&mut self, bytes: &[u8], keep: Keep) -> Result<(), StoreError>;

    /// What [`Store::save_state`] stored last.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn load_state(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the machine's state, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::InDoubt`]; [`StoreError::Io`].
    fn save_state(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
}

/// What becomes of the vault that a save replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays, as the previous generation.
    Previous,
    /// It goes, for it is of no use. One that was kept before stays.
    Earlier,
    /// Neither it nor an earlier one stays: a token that was removed would open them.
    Nothing,
}

/// Why bytes could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the data directory is in use by another process")]
    InUse,
    /// Somebody else wrote the vault since it was loaded.
    #[error("the vault file was changed by somebody else")]
    Changed,
    /// The new bytes are in place, but the system did not confirm that they will survive a power cut.
    /// What is on disk has to be loaded again before the next save.
    #[error("the vault file was replaced, but its directory could not be synced")]
    InDoubt(#[source] io::Error),
    /// The directory belongs to another user, or others can write to it.
    #[error("the data directory must belong to this user and be writable by nobody else")]
    NotPrivate,
    /// More than a vault can have.
    #[error("the file is too large")]
    TooLarge,
    /// A symbolic link, a directory, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// The system refused.
    #[error("could not {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
