//! A record: one version of one secret, under a data key of its own.

use super::error::damaged;
use super::{Class, Item, Part, VaultError, VaultId};
use crate::crypto::aead::MessageKey;
use crate::crypto::random;
use crate::secret::{GuardKey, UnlockKey};
use zeroize::Zeroizing;

/// Most bytes of a record.
pub(super) const LARGEST: usize = 1 << 20;
const SALT: usize = 32;
const WRAPPED: usize = 48;

/// What a record is bound to: `vault id | item id | class byte | version u64`.
pub(super) fn bound(vault: VaultId, item: &Item) -> Vec<u8> {
    let parts: [&[u8]; 4] =
        [vault.as_bytes(), item.id.as_bytes(), &[item.class.byte()], &item.version.to_be_bytes()];
    parts.concat()
}

/// The keys that records are opened with.
#[derive(Clone, Copy)]
pub(super) struct Keys<'k> {
    pub(super) unlock: &'k UnlockKey,
    pub(super) guard: Option<&'k GuardKey>,
}

impl Keys<'_> {
    /// The key that wraps a record's data key: from UK, or from GK and UK.
    fn wrapping(self, class: Class, salt: &[u8], bound: &[u8]) -> Result<MessageKey, VaultError> {
        let mut ikm = Zeroizing::new(Vec::with_capacity(64));
        if class == Class::Guarded {
            self.guard.ok_or(VaultError::GuardNeeded)?.with(|key| ikm.extend_from_slice(key));
        }
        self.unlock.with(|key| ikm.extend_from_slice(key));
        Ok(MessageKey::derive(&ikm, salt, &[b"rootseal/v1/record", bound]))
    }

    /// Seals a new version.
    pub(super) fn seal(self, vault: VaultId, item: &Item, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let bound = bound(vault, item);
        let salt: [u8; SALT] = random::public()?;
        let data_key = MessageKey::random()?;
        let mut record = Vec::with_capacity(plaintext.len().saturating_add(96));
        record.extend_from_slice(&salt);
        self.wrapping(item.class, &salt, &bound)?.wrap(&bound, &data_key, &mut record)?;
        data_key.seal(&bound, plaintext, &mut record)?;
        if record.len() > LARGEST {
            return Err(VaultError::TooLarge(Part::Record));
        }
        Ok(record)
    }

    /// Opens a version. A guarded one must have been held against the manifest before.
    pub(super) fn open(
        self,
        vault: VaultId,
        item: &Item,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let bound = bound(vault, item);
        let (salt, rest) = record.split_first_chunk::<SALT>().ok_or(VaultError::Damaged(Part::Record))?;
        let (wrapped, payload) =
            rest.split_first_chunk::<WRAPPED>().ok_or(VaultError::Damaged(Part::Record))?;
        self.wrapping(item.class, salt, &bound)?
            .unwrap(&bound, wrapped)
            .and_then(|data_key| data_key.open(&bound, payload))
            .map_err(damaged(Part::Record))
    }
}
