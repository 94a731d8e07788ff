//! The guard manifest: what a holder of the unlock key alone cannot change unseen.

use super::cbor::{Malformed, Reader, Writer};
use super::error::damaged;
use super::{Header, Index, Item, ItemId, Lock, Part, Policy, SlotId, VaultError, VaultId};
use crate::crypto::aead::MessageKey;
use crate::crypto::{hpke, random};
use crate::secret::GuardKey;

/// The manifest, opened; [`Manifest::check`] is what proves the rest of the vault.
#[derive(Clone)]
pub(super) struct Manifest {
    pub(super) version: u64,
    pub(super) slots: Vec<SlotEntry>,
    pub(super) records: Vec<RecordEntry>,
    vault: VaultId,
    epoch: u64,
    thresholds: (u64, u64),
    policy: Policy,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct SlotEntry {
    pub(super) id: SlotId,
    pub(super) binding_hash: [u8; 32],
    pub(super) unlock: Vec<u8>,
    pub(super) guard: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordEntry {
    pub(super) id: ItemId,
    pub(super) version: u64,
    pub(super) hash: [u8; 32],
}

impl Manifest {
    pub(super) fn new(
        version: u64,
        header: &Header,
        slots: Vec<SlotEntry>,
        records: Vec<RecordEntry>,
    ) -> Self {
        let thresholds = [Lock::Unlock, Lock::Guard].map(|lock| header.thresholds.of(lock).into());
        Self {
            version,
            slots,
            records,
            vault: header.vault,
            epoch: header.epoch,
            thresholds: thresholds.into(),
            policy: header.policy.clone(),
        }
    }

    /// Opens the section and checks it against the header and the index: whoever had the unlock key alone
    /// could write those two.
    pub(super) fn open(
        key: &GuardKey,
        header: &Header,
        index: &Index,
        section: &[u8],
    ) -> Result<Self, VaultError> {
        let (salt, sealed) = section.split_first_chunk().ok_or(VaultError::Damaged(Part::Manifest))?;
        let plaintext = section_key(key, salt, header.vault)
            .open(&aad(header), sealed)
            .map_err(damaged(Part::Manifest))?;
        let manifest = Self::decode(&plaintext).map_err(|_malformed| VaultError::Damaged(Part::Manifest))?;
        manifest.check(header, index)?;
        Ok(manifest)
    }

    /// The section for the file.
    pub(super) fn seal(&self, key: &GuardKey, header: &Header) -> Result<Vec<u8>, VaultError> {
        let plaintext = self.encode();
        let salt: [u8; 32] = random::public()?;
        let mut section = Vec::with_capacity(plaintext.len().saturating_add(48));
        section.extend_from_slice(&salt);
        section_key(key, &salt, header.vault).seal(&aad(header), &plaintext, &mut section)?;
        Ok(section)
    }

    /// The entry of a guarded item.
    pub(super) fn record(&self, item: &Item) -> Option<&RecordEntry> {
        let place = self.records.binary_search_by_key(&item.id, |entry| entry.id).ok()?;
        self.records.get(place).filter(|entry| entry.version == item.version)
    }

    fn check(&self, header: &Header, index: &Index) -> Result<(), VaultError> {
        let damaged = |part| Err(VaultError::Damaged(part));
        let expected = Self::new(self.version, header, Vec::new(), Vec::new());
        if self.version == 0
            || (self.vault, self.epoch, self.thresholds)
                != (expected.vault, expected.epoch, expected.thresholds)
            || self.policy != expected.policy
        {
            return damaged(Part::Header);
        }
        let same_slots = self.slots.len() == header.slots.len()
            && self.slots.iter().zip(&header.slots).all(|(entry, slot)| {
                entry.id == slot.id
                    && entry.guard.is_some() == slot.guard.is_some()
                    && entry.binding_hash == slot.binding_hash(header.vault)
            });
        if !same_slots {
            return damaged(Part::Header);
        }
        let guarded = index.guarded();
        let same_records = self.records.len() == guarded.len()
            && self
                .records
                .iter()
                .zip(guarded)
                .all(|(entry, item)| (entry.id, entry.version) == (item.id, item.version));
        if same_records { Ok(()) } else { damaged(Part::Index) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let capacity = self.records.len().saturating_mul(64).saturating_add(4096);
        let mut writer = Writer::with_capacity(capacity);
        writer.map(7).uint(0).bytes(self.vault.as_bytes()).uint(1).uint(self.version);
        writer.uint(2).uint(self.epoch).uint(3).array(2).uint(self.thresholds.0).uint(self.thresholds.1);
        writer.uint(4).array(self.slots.len());
        for slot in &self.slots {
            writer.array(4).bytes(slot.id.as_bytes()).bytes(&slot.binding_hash).bytes(&slot.unlock);
            match &slot.guard {
                Some(public) => writer.bytes(public),
                None => writer.null(),
            };
        }
        writer.uint(5).array(self.records.len());
        for record in &self.records {
            writer.array(3).bytes(record.id.as_bytes()).uint(record.version).bytes(&record.hash);
        }
        writer.uint(6);
        self.policy.encode(&mut writer);
        writer.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::whole(bytes, |reader| {
            let mut fields = reader.map()?;
            let mut manifest = Self {
                policy: Policy::default(),
                vault: VaultId::from_bytes(fields.required(0, Reader::array_of)?),
                version: fields.required(1, Reader::uint)?,
                epoch: fields.required(2, Reader::uint)?,
                thresholds: fields.required(3, |reader| {
                    reader.fixed(2)?;
                    Ok((reader.uint()?, reader.uint()?))
                })?,
                slots: fields.required(4, |reader| reader.array(SlotEntry::decode))?,
                records: fields.required(5, |reader| reader.array(RecordEntry::decode))?,
            };
            manifest.policy = fields.required(6, Policy::decode)?;
            fields.end()?;
            let ascending = manifest.records.iter().map(|entry| entry.id).is_sorted_by(|one, two| one < two);
            if ascending { Ok(manifest) } else { Err(Malformed) }
        })
    }
}

impl SlotEntry {
    /// The slot's public half for `lock`, where it serves it.
    pub(super) fn public(&self, lock: Lock) -> Option<&[u8]> {
        match lock {
            Lock::Unlock => Some(&self.unlock),
            Lock::Guard => self.guard.as_deref(),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let public = |reader: &mut Reader<'_>| {
            let public = reader.bytes()?;
            if public.len() == hpke::PUBLIC_KEY { Ok(public.to_vec()) } else { Err(Malformed) }
        };
        reader.fixed(4)?;
        Ok(Self {
            id: reader.slot_id()?,
            binding_hash: reader.array_of()?,
            unlock: public(reader)?,
            guard: reader.nullable(public)?,
        })
    }
}

impl RecordEntry {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.fixed(3)?;
        Ok(Self { id: reader.item_id()?, version: reader.uint()?, hash: reader.array_of()? })
    }
}

fn section_key(key: &GuardKey, salt: &[u8; 32], vault: VaultId) -> MessageKey {
    key.with(|key| MessageKey::derive(key, salt, &[b"rootseal/v1/manifest", vault.as_bytes()]))
}

fn aad(header: &Header) -> Vec<u8> {
    [vault_bytes(header), &header.epoch.to_be_bytes()].concat()
}

const fn vault_bytes(header: &Header) -> &[u8] {
    header.vault.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TOKEN, sample};
    use super::*;

    /// A holder of the unlock key alone writes a header without the rule that the manifest has.
    #[test]
    fn the_policy_is_the_manifests() {
        let vault = sample();
        let key = TOKEN.guard_key(vault.header()).unwrap();
        let open = |section: &[u8]| Manifest::open(&key, vault.header(), vault.index(), section);
        let honest = open(vault.image.manifest()).unwrap();
        let policy = Policy { demand_reason: true, ..Policy::default() };
        let section = Manifest { policy, ..honest }.seal(&key, vault.header()).unwrap();
        assert_eq!(open(&section).map(|_| ()), Err(VaultError::Damaged(Part::Header)));
    }

    /// A holder of the unlock key alone writes 1 where the manifest says 2.
    #[test]
    fn thresholds_are_the_manifests() {
        let vault = sample();
        let key = TOKEN.guard_key(vault.header()).unwrap();
        let open = |section: &[u8]| Manifest::open(&key, vault.header(), vault.index(), section);
        let honest = open(vault.image.manifest()).unwrap();
        for thresholds in [(1, 2), (2, 2)] {
            let manifest = Manifest { thresholds, ..honest.clone() };
            let section = manifest.seal(&key, vault.header()).unwrap();
            assert_eq!(open(&section).map(|_| ()), Err(VaultError::Damaged(Part::Header)));
        }
    }
}
