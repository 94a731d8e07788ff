//! The header: all that is readable without a key.

use super::cbor::{Malformed, Reader, Writer};
use super::{Keyslot, Lock, Policy, SlotId, Thresholds, VaultError, VaultId};
use std::collections::HashSet;

const SLOTS: usize = 64;

/// The header of a vault: nothing in it is secret. Until the vault is unlocked, nothing in it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(super) vault: VaultId,
    pub(super) generation: u64,
    pub(super) epoch: u64,
    pub(super) thresholds: Thresholds,
    pub(super) policy: Policy,
    pub(super) slots: Vec<Keyslot>,
    pub(super) salt: [u8; 32],
    pub(super) lengths: Lengths,
}

/// Bytes of the sections after the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) index: usize,
    pub(super) manifest: usize,
    pub(super) records: usize,
}

impl Header {
    /// The vault's id.
    pub const fn vault_id(&self) -> VaultId {
        self.vault
    }

    /// How often it was saved.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// How often it was rekeyed, plus one.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Holders needed for each lock.
    pub const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// What its holders have laid down.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The keyslots, oldest first.
    pub fn keyslots(&self) -> &[Keyslot] {
        &self.slots
    }

    /// One keyslot.
    pub fn keyslot(&self, id: SlotId) -> Option<&Keyslot> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    /// Those who have a slot for `lock`, in the order of their first ones.
    pub fn holders(&self, lock: Lock) -> Vec<&str> {
        let mut holders = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.serves(lock)) {
            if !holders.contains(&slot.holder()) {
                holders.push(slot.holder());
            }
        }
        holders
    }

    /// The rules of the format, for a header that was read and for one that is to be written.
    pub(super) fn validate(&self) -> Result<(), VaultError> {
        if self.generation == 0 || self.epoch == 0 {
            return Err(VaultError::Invalid("generation"));
        }
        if !(1..=SLOTS).contains(&self.slots.len()) {
            return Err(VaultError::Invalid("number of keyslots"));
        }
        self.policy.validate()?;
        self.slots.iter().try_for_each(Keyslot::validate)?;
        if self.slots.iter().map(|slot| slot.id).collect::<HashSet<_>>().len() != self.slots.len() {
            return Err(VaultError::Invalid("keyslot id"));
        }
        for lock in [Lock::Unlock, Lock::Guard] {
            if self.holders(lock).len() < usize::from(self.thresholds.of(lock)) {
                return Err(VaultError::Invalid("thresholds"));
            }
        }
        Ok(())
    }

    /// Whether all slots have their shares, of the size that the thresholds make.
    pub(super) fn validate_shares(&self) -> Result<(), VaultError> {
        let fits = |lock| {
            let whole = self.thresholds.of(lock) == 1;
            self.slots.iter().filter_map(|slot| slot.entry(lock)).all(|entry| entry.has_share(whole))
        };
        if fits(Lock::Unlock) && fits(Lock::Guard) { Ok(()) } else { Err(VaultError::Invalid("share")) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(4096);
        let no_policy = self.policy == Policy::default();
        writer.map(if no_policy { 7 } else { 8 }).uint(0).bytes(self.vault.as_bytes());
        writer.uint(1).uint(self.generation).uint(2).uint(self.epoch).uint(3).array(2);
        writer.uint(self.thresholds.of(Lock::Unlock).into());
        writer.uint(self.thresholds.of(Lock::Guard).into());
        writer.uint(4).array(self.slots.len());
        for slot in &self.slots {
            slot.encode(&mut writer);
        }
        writer.uint(5).bytes(&self.salt).uint(6).array(3);
        writer.size(self.lengths.index).size(self.lengths.manifest).size(self.lengths.records);
        if !no_policy {
            writer.uint(7);
            self.policy.encode(&mut writer);
        }
        writer.into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::whole(bytes, |reader| {
            let mut fields = reader.map()?;
            let vault = VaultId::from_bytes(fields.required(0, Reader::array_of)?);
            let generation = fields.required(1, Reader::uint)?;
            let epoch = fields.required(2, Reader::uint)?;
            let (unlock, guard) = fields.required(3, |reader| {
                reader.fixed(2)?;
                Ok((reader.uint()?, reader.uint()?))
            })?;
            let slots = fields.required(4, |reader| reader.array(Keyslot::decode))?;
            let salt = fields.required(5, Reader::array_of)?;
            let lengths = fields.required(6, Lengths::decode)?;
            let policy = fields.optional(7, Policy::decode)?;
            fields.end()?;
            // Where there is none, the field is left out.
            if policy.as_ref().is_some_and(|policy| *policy == Policy::default()) {
                return Err(Malformed);
            }
            let policy = policy.unwrap_or_default();
            let thresholds = Thresholds::new(unlock, guard, slots.len() as u64).map_err(|_rule| Malformed)?;
            Ok(Self { vault, generation, epoch, thresholds, policy, slots, salt, lengths })
        })
    }
}

impl Lengths {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.fixed(3)?;
        let mut length = || usize::try_from(reader.uint()?).map_err(|_size| Malformed);
        Ok(Self { index: length()?, manifest: length()?, records: length()? })
    }
}
