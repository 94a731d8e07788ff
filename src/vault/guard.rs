//! A guarded opening: the manifest is verified, guarded records can be opened.

use super::manifest::Manifest;
use super::record::Keys;
use super::{Class, Draft, Item, ItemId, Part, Payload, Seen, UnlockedVault, VaultError};
use crate::crypto::hash;
use crate::secret::GuardKey;

/// Proof that the guard manifest fits the vault. It holds the guard key, which goes with it: drop it as
/// soon as the operation's items are open.
pub struct Guard<'v> {
    pub(super) vault: &'v UnlockedVault,
    pub(super) key: GuardKey,
    pub(super) manifest: Manifest,
}

impl<'v> Guard<'v> {
    /// The vault it was made for.
    pub const fn vault(&self) -> &'v UnlockedVault {
        self.vault
    }

    /// What this machine is to remember, now that the manifest's version is known.
    pub fn seen(&self) -> Seen {
        self.vault.seen()
    }

    /// Opens a record of either class.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Damaged`] if the record is not the one that the manifest
    /// knows, or says it is another account's.
    pub fn secret(&self, id: ItemId) -> Result<Payload, VaultError> {
        let item = self.vault.index.item(id).ok_or(VaultError::NotFound)?;
        self.verify(item)?;
        self.vault.payload(item, self.keys())
    }

    /// Starts a change of anything.
    pub fn edit(self) -> Draft<'v> {
        Draft::new(self.vault, Some(self))
    }

    pub(super) const fn keys(&self) -> Keys<'_> {
        Keys { unlock: &self.vault.key, guard: Some(&self.key) }
    }

    /// Holds a guarded record against its hash in the manifest.
    pub(super) fn verify(&self, item: &Item) -> Result<(), VaultError> {
        if item.class == Class::Open {
            return Ok(());
        }
        let hash = hash::sha256(&[self.vault.image.record(item)]);
        match self.manifest.record(item) {
            Some(entry) if entry.hash == hash => Ok(()),
            _ => Err(VaultError::Damaged(Part::Record)),
        }
    }
}
