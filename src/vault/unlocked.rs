//! A vault whose index is open.

use super::image::Image;
use super::manifest::Manifest;
use super::record::Keys;
use super::{
    Class, Draft, Guard, Header, Index, Item, ItemId, LockedVault, Part, Payload, Reversal, Seen, Staged,
    VaultError,
};
use crate::secret::{GuardKey, UnlockKey};
use std::sync::Arc;

/// A vault whose header, index and sections are authentic. It holds the unlock key.
pub struct UnlockedVault {
    pub(super) image: Arc<Image>,
    pub(super) index: Index,
    pub(super) key: UnlockKey,
    pub(super) manifest_version: u64,
}

impl UnlockedVault {
    /// The header.
    pub fn header(&self) -> &Header {
        self.image.header()
    }

    /// The index.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// How often the vault was saved.
    pub fn generation(&self) -> u64 {
        self.header().generation
    }

    /// What this machine is to remember.
    pub fn seen(&self) -> Seen {
        seen(&self.image, self.manifest_version)
    }

    /// Drops the key and the index.
    pub fn lock(self) -> LockedVault {
        LockedVault { image: self.image, manifest_version: self.manifest_version }
    }

    /// Verifies another copy of this vault, read anew from the disk, with the key of this one.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] naming the part.
    pub fn verify(&self, other: &LockedVault) -> Result<(), VaultError> {
        other.image.open(&self.key).map(drop)
    }

    /// As [`LockedVault::prove`].
    ///
    /// # Errors
    /// As there.
    pub fn prove(&self, unlock: &UnlockKey, guard: Option<&GuardKey>) -> Result<(), VaultError> {
        self.image.prove(unlock, guard)
    }

    /// Opens a record of class open.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::GuardNeeded`] for a guarded one; [`VaultError::Damaged`].
    pub fn open_record(&self, id: ItemId) -> Result<Payload, VaultError> {
        let item = self.index.item(id).ok_or(VaultError::NotFound)?;
        match item.class {
            Class::Open => self.payload(item, Keys { unlock: &self.key, guard: None }),
            Class::Guarded => Err(VaultError::GuardNeeded),
        }
    }

    /// Verifies the guard manifest, against the header, the index and what this machine saw last, before
    /// anything else is believed. The key lives as long as the result.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] naming what differs from the manifest (a wrong key shows as a damaged
    /// manifest); [`VaultError::Rollback`] for an older manifest.
    pub fn guard(&mut self, key: GuardKey) -> Result<Guard<'_>, VaultError> {
        let manifest = Manifest::open(&key, self.image.header(), &self.index, self.image.manifest())?;
        if manifest.version < self.manifest_version {
            let (found, seen) = (manifest.version, self.manifest_version);
            return Err(VaultError::Rollback(Reversal::Manifest { found, seen }));
        }
        self.manifest_version = manifest.version;
        Ok(Guard { vault: self, key, manifest })
    }

    /// Starts a change of what the unlock key alone may change.
    pub fn edit(&self) -> Draft<'_> {
        Draft::new(self, None)
    }

    /// Takes over a change whose bytes have been saved.
    ///
    /// # Errors
    /// [`VaultError::Outdated`] if it was made for another state of this vault.
    pub fn accept(&mut self, staged: Staged) -> Result<(), VaultError> {
        if staged.base != self.image.mac() {
            return Err(VaultError::Outdated);
        }
        self.image = staged.image;
        self.index = staged.index;
        self.manifest_version = staged.manifest_version;
        if let Some(key) = staged.key {
            self.key = key;
        }
        Ok(())
    }

    /// Opens a record and holds it against its account.
    pub(super) fn payload(&self, item: &Item, keys: Keys<'_>) -> Result<Payload, VaultError> {
        let plaintext = keys.open(self.header().vault, item, self.image.record(item))?;
        let damaged = VaultError::Damaged(Part::Record);
        let payload = Payload::decode(item.kind, &plaintext).map_err(|_malformed| damaged)?;
        let account = self.index.account(item.account).ok_or(damaged)?;
        // Somebody with the unlock key alone may have moved the item to another account's name.
        if payload.belongs_to(account) { Ok(payload) } else { Err(damaged) }
    }
}

pub(super) fn seen(image: &Image, manifest_version: u64) -> Seen {
    let header = image.header();
    Seen {
        vault_id: header.vault,
        generation: header.generation,
        epoch: header.epoch,
        header_mac: image.mac(),
        manifest_version,
    }
}
