//! What a machine remembers of the vault it saw last, against a file that was put back.

use super::cbor::{Malformed, Reader, Writer};
use super::{Header, Part, Reversal, VaultError, VaultId};

/// The state of a vault when this machine saw it last: the contents of `state.cbor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which vault.
    pub vault_id: VaultId,
    /// Its generation.
    pub generation: u64,
    /// Its key epoch.
    pub epoch: u64,
    /// Its header's MAC.
    pub header_mac: [u8; 32],
    /// Its guard manifest's version; 0 while no guarded opening has shown it.
    pub manifest_version: u64,
}

impl Seen {
    /// As bytes, to be stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128);
        writer.map(5).uint(0).bytes(self.vault_id.as_bytes()).uint(1).uint(self.generation);
        writer.uint(2).uint(self.epoch).uint(3).bytes(&self.header_mac);
        writer.uint(4).uint(self.manifest_version);
        writer.into_bytes()
    }

    /// From bytes that [`Self::encode`] made.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] with [`Part::State`].
    pub fn decode(bytes: &[u8]) -> Result<Self, VaultError> {
        let seen = Reader::whole(bytes, |reader| {
            let mut fields = reader.map()?;
            let seen = Self {
                vault_id: VaultId::from_bytes(fields.required(0, Reader::array_of)?),
                generation: fields.required(1, Reader::uint)?,
                epoch: fields.required(2, Reader::uint)?,
                header_mac: fields.required(3, Reader::array_of)?,
                manifest_version: fields.required(4, Reader::uint)?,
            };
            fields.end()?;
            Ok(seen)
        });
        seen.map_err(|Malformed| VaultError::Damaged(Part::State))
    }

    pub(super) fn check(&self, header: &Header, mac: &[u8; 32]) -> Result<(), VaultError> {
        let reversal = if self.vault_id != header.vault {
            Reversal::OtherVault
        } else if header.generation < self.generation {
            Reversal::Generation { found: header.generation, seen: self.generation }
        } else if header.epoch < self.epoch {
            Reversal::Epoch { found: header.epoch, seen: self.epoch }
        } else if header.generation == self.generation && *mac != self.header_mac {
            Reversal::Fork { generation: self.generation }
        } else {
            return Ok(());
        };
        Err(VaultError::Rollback(reversal))
    }
}
