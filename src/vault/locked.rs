//! A vault that no key has opened yet.

use super::image::Image;
use super::{Header, Seen, UnlockedVault, VaultError};
use crate::secret::{GuardKey, UnlockKey};
use std::sync::Arc;

/// A file whose structure was read. Nothing in it is proven, not even that it is ours.
pub struct SealedVault {
    image: Image,
}

impl SealedVault {
    /// Reads the structure, within the format's limits.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NewerFormat`], [`VaultError::TooLarge`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, VaultError> {
        Ok(Self { image: Image::parse(bytes)? })
    }

    /// What the header says.
    pub const fn header(&self) -> &Header {
        self.image.header()
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        self.image.bytes()
    }

    /// Refuses a vault that is not the one that this machine saw last, or an older state of it.
    ///
    /// # Errors
    /// [`VaultError::Rollback`].
    pub fn check(self, seen: Option<&Seen>) -> Result<LockedVault, VaultError> {
        if let Some(seen) = seen {
            seen.check(self.image.header(), &self.image.mac())?;
        }
        let manifest_version = seen.map_or(0, |seen| seen.manifest_version);
        Ok(LockedVault { image: Arc::new(self.image), manifest_version })
    }
}

/// A vault that is not rolled back, as far as this machine knows. Its contents are not proven.
pub struct LockedVault {
    pub(super) image: Arc<Image>,
    pub(super) manifest_version: u64,
}

impl LockedVault {
    /// What the header says; its keyslots lead to the key.
    pub fn header(&self) -> &Header {
        self.image.header()
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        self.image.bytes()
    }

    /// Verifies that these keys open it, and keeps neither.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] naming the part; a wrong key shows as a damaged header MAC or manifest.
    pub fn prove(&self, unlock: &UnlockKey, guard: Option<&GuardKey>) -> Result<(), VaultError> {
        self.image.prove(unlock, guard)
    }

    /// Verifies header, index and the sections' hashes, and keeps the key.
    ///
    /// # Errors
    /// The vault as it was, with [`VaultError::Damaged`] naming the part; a wrong key shows as a damaged
    /// header MAC.
    pub fn unlock(self, key: UnlockKey) -> Result<UnlockedVault, (Self, VaultError)> {
        match self.image.open(&key) {
            Ok(index) => {
                Ok(UnlockedVault { image: self.image, index, key, manifest_version: self.manifest_version })
            }
            Err(error) => Err((self, error)),
        }
    }
}
