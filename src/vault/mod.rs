//! The vault file: `docs/vault-format.md` in code.
//!
//! `SealedVault` (its structure was read) → `LockedVault` (no rollback) → `UnlockedVault` (authentic, its
//! index open) → `Guard` (the manifest verified, guarded records can be opened). Changes are staged in a
//! `Draft`, sealed to bytes, and taken over once those are saved. No I/O and no clock: bytes and times are
//! arguments. Names, account ids and AWS's rules are none of this room's business beyond their syntax.

mod audit;
mod cbor;
mod create;
mod draft;
mod entry;
mod error;
mod guard;
mod header;
mod image;
mod index;
mod keyslot;
mod locked;
mod manifest;
mod names;
mod payload;
mod policy;
mod record;
mod seal;
mod seen;
mod shares;
mod slots;
mod types;
mod unlocked;

#[cfg(test)]
mod tests;

pub use audit::LogAnchor;
pub use create::NewVault;
pub use draft::{Draft, NewAccount, NewItem};
pub use entry::{Account, Item, Profile};
pub use error::{Part, Reversal, VaultError};
pub use guard::Guard;
pub use header::Header;
pub use index::Index;
pub use keyslot::Keyslot;
pub use locked::{LockedVault, SealedVault};
pub use names::is_name;
pub use payload::Payload;
pub use policy::{Act, Hours, Policy};
pub use seal::Staged;
pub use seen::Seen;
pub use shares::{Collected, Share};
pub use slots::NewSlot;
pub use types::{AccountRef, Class, ItemId, ItemKind, Lock, SlotId, Thresholds, VaultId};
pub use unlocked::UnlockedVault;
