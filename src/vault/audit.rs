//! What the vault has to do with the audit log: it leads to the keys of the log's MACs, and has sealed how far the log
//! went when it was saved.

use super::cbor::{Malformed, Reader, Writer};
use super::image::Image;
use super::{Header, Index, LockedVault, Staged, UnlockedVault, VaultError};
use crate::crypto::{kdf, random};
use crate::secret::{AuditKey, UnlockKey};
use std::sync::Arc;

/// How far the audit log went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogAnchor {
    /// The number of its last record, 1 or more.
    pub seq: u64,
    /// That record's hash.
    pub head: [u8; 32],
}

impl LogAnchor {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.array(2).uint(self.seq).bytes(&self.head);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.fixed(2)?;
        let anchor = Self { seq: reader.uint()?, head: reader.array_of()? };
        if anchor.seq > 0 { Ok(anchor) } else { Err(Malformed) }
    }
}

/// What the keys of the audit log are derived from.
pub(super) fn root(key: &UnlockKey, header: &Header) -> AuditKey {
    let info: [&[u8]; 3] = [b"rootseal/v1/audit", header.vault.as_bytes(), &header.epoch.to_be_bytes()];
    let root = key.with(|key| kdf::derive(key, &[], &info));
    AuditKey::copy_from(&*root)
}

/// The same contents, with another anchor.
pub(super) fn seal_in(
    image: &Image,
    index: &mut Index,
    key: &UnlockKey,
    anchor: LogAnchor,
) -> Result<Image, VaultError> {
    let mut header = image.header().clone();
    // The key of an index is for one message.
    header.salt = random::public()?;
    index.log = Some(anchor);
    Image::assemble(header, key, index, image.manifest(), &[image.records()])
}

impl LockedVault {
    /// What the keys of the audit log are derived from, if `key` is this vault's.
    pub fn audit_root(&self, key: &UnlockKey) -> AuditKey {
        root(key, self.header())
    }
}

impl Staged {
    /// What the keys of the audit log are derived from once this is accepted, where that changes them.
    pub fn audit_root(&self) -> Option<AuditKey> {
        self.key.as_ref().map(|key| root(key, self.image.header()))
    }

    /// As [`UnlockedVault::anchor`], where the vault is locked by now: a change that brings new keys can still be
    /// sealed, any other stays as it is.
    ///
    /// # Errors
    /// [`VaultError::TooLarge`].
    pub fn anchor_alone(mut self, anchor: LogAnchor) -> Result<Self, VaultError> {
        if let Some(key) = &self.key {
            self.image = Arc::new(seal_in(&self.image, &mut self.index, key, anchor)?);
        }
        Ok(self)
    }

    /// The header as it will be.
    pub fn header(&self) -> &Header {
        self.image.header()
    }
}

impl UnlockedVault {
    /// Seals into a staged change how far the audit log goes.
    ///
    /// # Errors
    /// [`VaultError::Outdated`] if it was made for another state of this vault; [`VaultError::TooLarge`].
    pub fn anchor(&self, mut staged: Staged, anchor: LogAnchor) -> Result<Staged, VaultError> {
        if staged.base != self.image.mac() {
            return Err(VaultError::Outdated);
        }
        let key = staged.key.as_ref().unwrap_or(&self.key);
        staged.image = Arc::new(seal_in(&staged.image, &mut staged.index, key, anchor)?);
        Ok(staged)
    }
}
