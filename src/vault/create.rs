//! A new vault.

use super::header::Lengths;
use super::image::Image;
use super::manifest::Manifest;
use super::shares::share_out;
use super::slots::NewSlot;
use super::{Header, Index, LogAnchor, Policy, Seen, Thresholds, UnlockedVault, VaultError, VaultId, audit};
use crate::crypto::{hash, random};
use crate::secret::AuditKey;
use std::sync::Arc;

/// A vault that is made and not yet saved.
pub struct NewVault(UnlockedVault);

impl NewVault {
    /// Makes an empty vault with these keyslots.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] naming the field: thresholds, if too few of them serve the guard lock.
    pub fn create(slots: Vec<NewSlot>, thresholds: Thresholds) -> Result<Self, VaultError> {
        let (vault, epoch) = (VaultId::random()?, 1);
        let (unlock, guard) = (random::unlock_key()?, random::guard_key()?);
        let enrolled: Vec<_> = slots.into_iter().map(|slot| slot.enrol(vault)).collect::<Result<_, _>>()?;
        let (slots, entries): (Vec<_>, Vec<_>) = enrolled.into_iter().unzip();
        let mut header = Header {
            vault,
            generation: 1,
            epoch,
            thresholds,
            policy: Policy::default(),
            slots,
            salt: random::public()?,
            lengths: Lengths::default(),
        };
        header.validate()?;
        share_out(&mut header, &entries, &unlock, &guard)?;
        let manifest = Manifest::new(1, &header, entries, Vec::new());
        let manifest_version = manifest.version;
        let manifest = manifest.seal(&guard, &header)?;
        let mut index = Index::default();
        index.manifest_hash = hash::sha256(&[&manifest]);
        index.records_hash = hash::sha256(&[]);
        let image = Arc::new(Image::assemble(header, &unlock, &index, &manifest, &[])?);
        Ok(Self(UnlockedVault { image, index, key: unlock, manifest_version }))
    }

    /// The file, to be saved.
    pub fn bytes(&self) -> &[u8] {
        self.0.image.bytes()
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        self.0.header()
    }

    /// What the keys of the audit log are derived from.
    pub fn audit_root(&self) -> AuditKey {
        audit::root(&self.0.key, self.0.header())
    }

    /// Seals in how far the audit log goes.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn anchor(self, anchor: LogAnchor) -> Result<Self, VaultError> {
        let mut vault = self.0;
        vault.image = Arc::new(audit::seal_in(&vault.image, &mut vault.index, &vault.key, anchor)?);
        Ok(Self(vault))
    }

    /// What this machine is to remember once the bytes are saved.
    pub fn seen(&self) -> Seen {
        self.0.seen()
    }

    /// The vault, once its bytes are saved.
    pub fn into_unlocked(self) -> UnlockedVault {
        self.0
    }
}
