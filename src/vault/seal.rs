//! From a draft to the bytes of the next generation.

use super::draft::{Draft, Renewed};
use super::image::Image;
use super::manifest::{Manifest, RecordEntry};
use super::record::Keys;
use super::shares::share_out;
use super::unlocked::seen;
use super::{Index, Seen, VaultError};
use crate::crypto::{hash, random};
use crate::secret::{GuardKey, UnlockKey};
use std::sync::Arc;

/// A change that is sealed: bytes to be saved, then to be accepted by the vault. Dropped, it has changed
/// nothing.
pub struct Staged {
    pub(super) image: Arc<Image>,
    pub(super) index: Index,
    pub(super) manifest_version: u64,
    pub(super) key: Option<UnlockKey>,
    /// The header MAC of the state it was made from.
    pub(super) base: [u8; 32],
}

impl Staged {
    /// The file.
    pub fn bytes(&self) -> &[u8] {
        self.image.bytes()
    }

    /// What this machine is to remember once the bytes are saved.
    pub fn seen(&self) -> Seen {
        seen(&self.image, self.manifest_version)
    }

    /// Whether the keys changed: the file before this one must then not be kept, a removed token opens it.
    pub const fn rekeyed(&self) -> bool {
        self.key.is_some()
    }
}

struct NewKeys {
    unlock: UnlockKey,
    guard: GuardKey,
}

impl Draft<'_> {
    /// Seals the next generation. The guard key, if there was one, is gone after it.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] if the keyslots left do not meet the thresholds; [`VaultError::TooLarge`];
    /// [`VaultError::GuardNeeded`]; [`VaultError::Damaged`] if a rekey meets a record that does not open.
    pub fn seal(mut self) -> Result<Staged, VaultError> {
        let exhausted = VaultError::Invalid("generation");
        self.header.generation = self.header.generation.checked_add(1).ok_or(exhausted)?;
        self.header.salt = random::public()?;
        let new = if self.changed.renewed == Renewed::Keys { Some(self.rekey()?) } else { None };
        let unlock = new.as_ref().map_or(&self.vault.key, |keys| &keys.unlock);
        if self.changed.renewed != Renewed::Nothing {
            let guard = self.guard.as_ref().ok_or(VaultError::GuardNeeded)?;
            let guard = new.as_ref().map_or(&guard.key, |keys| &keys.guard);
            share_out(&mut self.header, &self.slots, unlock, guard)?;
        }

        let before = &self.vault.image;
        let mut records = Vec::new();
        if self.changed.records {
            let mut start = 0_usize;
            for item in &mut self.index.items {
                let record = self.fresh.get(&item.id).map_or_else(|| before.record(item), Vec::as_slice);
                (item.start, item.length) = (start, record.len());
                start = start.saturating_add(record.len());
                records.push(record);
            }
            self.index.records_hash = hash::sha256(&records);
        } else {
            records.push(before.records());
        }

        let mut manifest_version = self.vault.manifest_version;
        let mut rewritten = None;
        if self.changed.manifest {
            let guard = self.guard.as_ref().ok_or(VaultError::GuardNeeded)?;
            let entries = self.index.guarded().into_iter().map(|item| {
                let hash = match self.fresh.get(&item.id) {
                    Some(record) => hash::sha256(&[record]),
                    None => guard.manifest.record(item).ok_or(VaultError::NotFound)?.hash,
                };
                Ok(RecordEntry { id: item.id, version: item.version, hash })
            });
            let entries = entries.collect::<Result<Vec<_>, VaultError>>()?;
            manifest_version = guard.manifest.version.checked_add(1).ok_or(exhausted)?;
            let manifest = Manifest::new(manifest_version, &self.header, self.slots.clone(), entries);
            let key = new.as_ref().map_or(&guard.key, |keys| &keys.guard);
            rewritten = Some(manifest.seal(key, &self.header)?);
        }
        let manifest = rewritten.as_deref().unwrap_or_else(|| before.manifest());
        self.index.manifest_hash = hash::sha256(&[manifest]);

        let image = Image::assemble(self.header.clone(), unlock, &self.index, manifest, &records)?;
        Ok(Staged {
            image: Arc::new(image),
            index: self.index,
            manifest_version,
            base: before.mac(),
            key: new.map(|keys| keys.unlock),
        })
    }

    /// New keys, and every record under them.
    fn rekey(&mut self) -> Result<NewKeys, VaultError> {
        let keys = NewKeys { unlock: random::unlock_key()?, guard: random::guard_key()? };
        let guard = self.guard.as_ref().ok_or(VaultError::GuardNeeded)?;
        let vault = self.header.vault;
        let epoch = self.header.epoch.checked_add(1).ok_or(VaultError::Invalid("key epoch"))?;
        self.header.epoch = epoch;
        let new = Keys { unlock: &keys.unlock, guard: Some(&keys.guard) };
        for item in &self.index.items {
            let record = if let Some(record) = self.fresh.get(&item.id) {
                record.as_slice()
            } else {
                guard.verify(item)?;
                self.vault.image.record(item)
            };
            let plaintext = guard.keys().open(vault, item, record)?;
            self.fresh.insert(item.id, new.seal(vault, item, &plaintext)?);
        }
        self.changed.records = true;
        Ok(keys)
    }
}
