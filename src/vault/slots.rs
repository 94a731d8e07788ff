//! Keyslots: a token's enrolment, and changes of the set.

use super::draft::Renewed;
use super::keyslot::Entry;
use super::manifest::SlotEntry;
use super::{Draft, Keyslot, Lock, Policy, Seen, SlotId, Thresholds, VaultError, VaultId};
use crate::crypto::random;
use crate::secret::TokenSecret;

/// A token to be enrolled.
pub struct NewSlot {
    /// The person it belongs to: 1 … 64 bytes.
    pub holder: String,
    /// What its owner calls it: 1 … 64 bytes.
    pub label: String,
    /// `fido2`.
    pub kind: String,
    /// Seconds since 1970.
    pub created: u64,
    /// What the kind needs to find and ask the token, in the kind's own encoding: at most 16,384 bytes.
    pub binding: Vec<u8>,
    /// The token's secret for the unlock lock.
    pub unlock: TokenSecret,
    /// The token's secret for the guard lock, where the kind serves it.
    pub guard: Option<TokenSecret>,
}

impl NewSlot {
    /// The slot and what the manifest says of it. Its shares are still to be given out.
    pub(super) fn enrol(self, vault: VaultId) -> Result<(Keyslot, SlotEntry), VaultError> {
        let Self { holder, label, kind, created, binding, unlock: secret, guard: guard_secret } = self;
        let id = SlotId::random()?;
        let salt = random::public()?;
        let mut slot =
            Keyslot { id, holder, label, kind, created, binding, salt, unlock: Entry::UNFILLED, guard: None };
        slot.validate()?;
        let (entry, public) = slot.enrol(vault, Lock::Unlock, &secret)?;
        slot.unlock = entry;
        let mut guard_public = None;
        if let Some(secret) = guard_secret {
            let (entry, public) = slot.enrol(vault, Lock::Guard, &secret)?;
            slot.guard = Some(entry);
            guard_public = Some(public);
        }
        let binding_hash = slot.binding_hash(vault);
        Ok((slot, SlotEntry { id, binding_hash, unlock: public, guard: guard_public }))
    }
}

impl Draft<'_> {
    /// Enrols a token.
    ///
    /// # Errors
    /// [`VaultError::GuardNeeded`]; [`VaultError::Invalid`] naming the field.
    pub fn add_slot(&mut self, new: NewSlot) -> Result<SlotId, VaultError> {
        self.guarded()?;
        let (slot, entry) = new.enrol(self.header.vault)?;
        let id = slot.id;
        self.changed.renewed = self.changed.renewed.max(Renewed::Shares);
        self.header.slots.push(slot);
        self.slots.push(entry);
        self.header.validate()?;
        Ok(id)
    }

    /// Removes a keyslot and rekeys. Copies of the file made before still open with its token.
    ///
    /// # Errors
    /// [`VaultError::GuardNeeded`]; [`VaultError::NotFound`]; [`VaultError::Invalid`] if too few holders
    /// would be left.
    pub fn remove_slot(&mut self, id: SlotId) -> Result<(), VaultError> {
        self.rekey_at_seal()?;
        self.header.keyslot(id).ok_or(VaultError::NotFound)?;
        self.header.slots.retain(|slot| slot.id != id);
        self.slots.retain(|entry| entry.id != id);
        self.header.validate()
    }

    /// Asks for new keys: shares are sealed anew to every slot, no token is needed.
    ///
    /// # Errors
    /// [`VaultError::GuardNeeded`].
    pub fn rekey_at_seal(&mut self) -> Result<(), VaultError> {
        self.guarded()?;
        self.changed.renewed = Renewed::Keys;
        Ok(())
    }

    /// Sets how many holders each lock needs, and rekeys: what a holder had before opens nothing saved afterwards.
    ///
    /// # Errors
    /// [`VaultError::GuardNeeded`]; [`VaultError::Invalid`] if there are too few holders.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) -> Result<(), VaultError> {
        self.rekey_at_seal()?;
        self.header.thresholds = thresholds;
        self.header.validate()
    }

    /// Lays down other rules.
    ///
    /// # Errors
    /// [`VaultError::GuardNeeded`]; [`VaultError::Invalid`] naming the rule.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), VaultError> {
        self.guarded()?;
        self.header.policy = policy;
        self.header.validate()
    }

    /// Puts this state of the vault above all that was seen of it, with new keys: also above a later one that it takes
    /// the place of.
    ///
    /// # Errors
    /// [`VaultError::GuardNeeded`].
    pub fn supersede(&mut self, seen: &Seen) -> Result<(), VaultError> {
        self.rekey_at_seal()?;
        self.header.generation = self.header.generation.max(seen.generation);
        self.header.epoch = self.header.epoch.max(seen.epoch);
        if let Some(guard) = &mut self.guard {
            guard.manifest.version = guard.manifest.version.max(seen.manifest_version);
        }
        Ok(())
    }

    /// Changes a keyslot's label. It is not covered by the manifest: the unlock key is enough.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Invalid`].
    pub fn relabel_slot(&mut self, id: SlotId, label: String) -> Result<(), VaultError> {
        let slot = self.header.slots.iter_mut().find(|slot| slot.id == id).ok_or(VaultError::NotFound)?;
        slot.label = label;
        slot.validate()
    }
}
