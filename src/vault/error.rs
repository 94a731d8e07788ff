//! What can be wrong with a vault, or with a change to one.

use crate::crypto::CryptoError;

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Magic, version and header length.
    Prefix,
    /// The header.
    Header,
    /// The header's MAC.
    HeaderMac,
    /// One keyslot's sealed share.
    Keyslot,
    /// The index.
    Index,
    /// The guard manifest.
    Manifest,
    /// The section of records.
    Records,
    /// One record.
    Record,
    /// The file's length.
    Length,
    /// The machine's state file, not the vault.
    State,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prefix => "prefix",
            Self::Header => "header",
            Self::HeaderMac => "header MAC",
            Self::Keyslot => "keyslot",
            Self::Index => "index",
            Self::Manifest => "guard manifest",
            Self::Records => "records",
            Self::Record => "record",
            Self::Length => "length",
            Self::State => "state file",
        })
    }
}

/// How a vault is not the one that this machine saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reversal {
    /// Another vault id.
    #[error("it is another vault")]
    OtherVault,
    /// An older generation.
    #[error("generation {found} is older than {seen}, which was seen before")]
    Generation {
        /// In the file.
        found: u64,
        /// By this machine.
        seen: u64,
    },
    /// An older key epoch.
    #[error("key epoch {found} is older than {seen}, which was seen before")]
    Epoch {
        /// In the file.
        found: u64,
        /// By this machine.
        seen: u64,
    },
    /// An older guard manifest.
    #[error("guard manifest {found} is older than {seen}, which was seen before")]
    Manifest {
        /// In the file.
        found: u64,
        /// By this machine.
        seen: u64,
    },
    /// The same generation with another header.
    #[error("generation {generation} was seen before with another content")]
    Fork {
        /// The generation.
        generation: u64,
    },
}

/// Why a vault, or a change to one, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A part is not what its format, its MAC or its hash says.
    #[error("the vault is damaged: {0}")]
    Damaged(Part),
    /// A format of a later version.
    #[error("the vault has format {0}, newer than this program knows")]
    NewerFormat(u32),
    /// Not the vault that was seen last, or an older state of it.
    #[error("the vault was rolled back: {0}")]
    Rollback(#[source] Reversal),
    /// The token's secret does not open this keyslot.
    #[error("the token does not open this keyslot")]
    WrongToken,
    /// The keyslot has no entry for this lock.
    #[error("the keyslot does not open this lock")]
    NoSuchLock,
    /// Shares of too few holders.
    #[error("too few holders have consented")]
    NotEnough,
    /// A change that needs the guard lock.
    #[error("this change needs the guard lock")]
    GuardNeeded,
    /// What is asked for is not there.
    #[error("not found")]
    NotFound,
    /// A name that is taken.
    #[error("exists already")]
    Exists,
    /// A value outside its rules: the field's name.
    #[error("not valid: {0}")]
    Invalid(&'static str),
    /// A limit of the format.
    #[error("too large: {0}")]
    TooLarge(Part),
    /// A staged change that was made for another state of the vault.
    #[error("the vault changed meanwhile")]
    Outdated,
    /// A primitive failed for a reason of its own.
    #[error("cryptography failed")]
    Crypto(#[from] CryptoError),
}

/// An authentication that fails is damage of `part`; anything else of a primitive stays itself.
pub(super) fn damaged(part: Part) -> impl Fn(CryptoError) -> VaultError {
    move |error| match error {
        CryptoError::NotAuthentic | CryptoError::Malformed => VaultError::Damaged(part),
        CryptoError::NoRandomness => VaultError::Crypto(error),
    }
}
