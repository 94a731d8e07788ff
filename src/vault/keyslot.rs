//! A keyslot: one token's way to the keys of the two locks.

use super::cbor::{Malformed, Reader, Writer};
use super::error::damaged;
use super::names::{self, KIND, SHORT};
use super::{Header, Lock, Part, Share, SlotId, VaultError, VaultId};
use crate::crypto::aead::MessageKey;
use crate::crypto::{hash, hpke, random};
use crate::secret::{KeyShare, SlotKey, TokenSecret};

const BINDING: usize = 16_384;
/// Bytes of a token's secret, from HMAC-SHA-1 to ECDH on P-384.
const TOKEN_SECRET: std::ops::RangeInclusive<usize> = 20..=48;

/// A keyslot as the header has it: nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyslot {
    pub(super) id: SlotId,
    pub(super) holder: String,
    pub(super) label: String,
    pub(super) kind: String,
    pub(super) created: u64,
    pub(super) binding: Vec<u8>,
    pub(super) salt: [u8; 32],
    pub(super) unlock: Entry,
    pub(super) guard: Option<Entry>,
}

/// The entry for one lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    wrapped_seed: [u8; 48],
    encapsulated: Vec<u8>,
    sealed_share: Vec<u8>,
}

impl Keyslot {
    /// Its id.
    pub const fn id(&self) -> SlotId {
        self.id
    }

    /// The person it belongs to.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// What its owner calls it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The kind of token: `fido2`. A kind that this version does not know is kept and not opened.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// When it was made: seconds since 1970.
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// What the kind needs to find and ask its token, in the kind's own encoding.
    pub fn binding(&self) -> &[u8] {
        &self.binding
    }

    /// Whether it has an entry for `lock`.
    pub const fn serves(&self, lock: Lock) -> bool {
        match lock {
            Lock::Unlock => true,
            Lock::Guard => self.guard.is_some(),
        }
    }

    /// What it has of the key of `lock`, from the token's secret for that lock. `header` is the one this slot is of.
    ///
    /// # Errors
    /// [`VaultError::WrongToken`] if the secret is another; [`VaultError::NoSuchLock`] if the slot serves the unlock
    /// lock only; [`VaultError::Damaged`] if the share is not one that was sealed to this slot.
    pub fn share(&self, header: &Header, lock: Lock, secret: &TokenSecret) -> Result<Share, VaultError> {
        let entry = self.entry(lock).ok_or(VaultError::NoSuchLock)?;
        let vault = header.vault_id();
        let kek = secret.with(|secret| kek(secret, &self.salt, vault, self.id, lock));
        let aad = self.identity(vault, Some(lock));
        let seed = SlotKey::try_fill(32, |seed| kek.open_into(&aad, &entry.wrapped_seed, seed));
        let seed = seed.map_err(|_not_authentic| VaultError::WrongToken)?;
        let info = share_info(vault, header.epoch(), self.id, lock);
        let share = hpke::open(&seed, &entry.encapsulated, &info, &entry.sealed_share)
            .map_err(damaged(Part::Keyslot))?;
        Ok(Share::new(lock, self.holder.clone(), KeyShare::copy_from(&share)))
    }

    /// Makes a key pair for `lock` and wraps its seed under the token's secret. The public half is returned with the
    /// entry, which has no share yet.
    pub(super) fn enrol(
        &self,
        vault: VaultId,
        lock: Lock,
        secret: &TokenSecret,
    ) -> Result<(Entry, Vec<u8>), VaultError> {
        if !secret.with(|secret| TOKEN_SECRET.contains(&secret.len())) {
            return Err(VaultError::Invalid("token secret"));
        }
        let seed = random::slot_key()?;
        let mut wrapped = Vec::with_capacity(48);
        let kek = secret.with(|secret| kek(secret, &self.salt, vault, self.id, lock));
        seed.with(|seed| kek.seal(&self.identity(vault, Some(lock)), seed, &mut wrapped))?;
        let public = hpke::public_key(&seed)?;
        let wrapped_seed = wrapped.try_into().map_err(|_length| VaultError::Invalid("slot seed"))?;
        Ok((Entry { wrapped_seed, encapsulated: Vec::new(), sealed_share: Vec::new() }, public))
    }

    /// The entry for `lock`, where it serves it.
    pub(super) const fn entry(&self, lock: Lock) -> Option<&Entry> {
        match lock {
            Lock::Unlock => Some(&self.unlock),
            Lock::Guard => self.guard.as_ref(),
        }
    }

    /// The same, to be changed.
    pub(super) const fn entry_mut(&mut self, lock: Lock) -> Option<&mut Entry> {
        match lock {
            Lock::Unlock => Some(&mut self.unlock),
            Lock::Guard => self.guard.as_mut(),
        }
    }

    /// SHA-256 of the binding record: what the guard manifest holds about this slot.
    pub(super) fn binding_hash(&self, vault: VaultId) -> [u8; 32] {
        hash::sha256(&[&self.identity(vault, None)])
    }

    /// CBOR `[vault id, keyslot id, holder, kind, created, binding]`, and the lock where there is one.
    fn identity(&self, vault: VaultId, lock: Option<Lock>) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.binding.len().saturating_add(256));
        writer.array(if lock.is_some() { 7 } else { 6 });
        writer.bytes(vault.as_bytes()).bytes(self.id.as_bytes()).text(&self.holder).text(&self.kind);
        writer.uint(self.created).bytes(&self.binding);
        if let Some(lock) = lock {
            writer.uint(lock.byte().into());
        }
        writer.into_bytes()
    }

    pub(super) fn validate(&self) -> Result<(), VaultError> {
        names::text(&self.holder, SHORT, "holder")?;
        names::text(&self.label, SHORT, "label")?;
        names::text(&self.kind, KIND, "kind")?;
        if self.binding.len() > BINDING {
            return Err(VaultError::Invalid("binding"));
        }
        Ok(())
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.map(if self.guard.is_some() { 9 } else { 8 });
        writer.uint(0).bytes(self.id.as_bytes()).uint(1).text(&self.holder).uint(2).text(&self.label);
        writer.uint(3).text(&self.kind).uint(4).uint(self.created).uint(5).bytes(&self.binding);
        writer.uint(6).bytes(&self.salt).uint(7);
        self.unlock.encode(writer);
        if let Some(guard) = &self.guard {
            writer.uint(8);
            guard.encode(writer);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut fields = reader.map()?;
        let slot = Self {
            id: fields.required(0, Reader::slot_id)?,
            holder: fields.required(1, Reader::string)?,
            label: fields.required(2, Reader::string)?,
            kind: fields.required(3, Reader::string)?,
            created: fields.required(4, Reader::uint)?,
            binding: fields.required(5, Reader::bytes)?.to_vec(),
            salt: fields.required(6, Reader::array_of)?,
            unlock: fields.required(7, Entry::decode)?,
            guard: fields.optional(8, Entry::decode)?,
        };
        fields.end()?;
        Ok(slot)
    }
}

impl Entry {
    /// In the place of an entry until it is enrolled.
    pub(super) const UNFILLED: Self =
        Self { wrapped_seed: [0; 48], encapsulated: Vec::new(), sealed_share: Vec::new() };

    /// Whether it has a share; the `whole` key, or a part.
    pub(super) const fn has_share(&self, whole: bool) -> bool {
        self.sealed_share.len() == if whole { 48 } else { 49 }
    }

    /// Seals a share to the public half that the guard manifest knows: no token is needed for it.
    pub(super) fn reseal(
        &mut self,
        vault: VaultId,
        epoch: u64,
        slot: SlotId,
        lock: Lock,
        public: &[u8],
        share: &[u8],
    ) -> Result<(), VaultError> {
        (self.encapsulated, self.sealed_share) =
            hpke::seal(public, &share_info(vault, epoch, slot, lock), share)?;
        Ok(())
    }

    fn encode(&self, writer: &mut Writer) {
        writer.array(3).bytes(&self.wrapped_seed).bytes(&self.encapsulated).bytes(&self.sealed_share);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.fixed(3)?;
        let entry = Self {
            wrapped_seed: reader.array_of()?,
            encapsulated: reader.bytes()?.to_vec(),
            sealed_share: reader.bytes()?.to_vec(),
        };
        let lengths =
            entry.encapsulated.len() == hpke::ENCAPSULATED && matches!(entry.sealed_share.len(), 48 | 49);
        if lengths { Ok(entry) } else { Err(Malformed) }
    }
}

fn kek(secret: &[u8], salt: &[u8; 32], vault: VaultId, slot: SlotId, lock: Lock) -> MessageKey {
    let info: [&[u8]; 4] = [b"rootseal/v1/slot", vault.as_bytes(), slot.as_bytes(), &[lock.byte()]];
    MessageKey::derive(secret, salt, &info)
}

fn share_info(vault: VaultId, epoch: u64, slot: SlotId, lock: Lock) -> Vec<u8> {
    let parts: [&[u8]; 5] =
        [b"rootseal/v1/share", vault.as_bytes(), &epoch.to_be_bytes(), slot.as_bytes(), &[lock.byte()]];
    parts.concat()
}
