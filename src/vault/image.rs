//! The file's bytes, cut into sections.

use super::header::Lengths;
use super::manifest::Manifest;
use super::{Header, Index, Item, Part, VaultError};
use crate::crypto::aead::{MessageKey, TAG};
use crate::crypto::hash;
use crate::crypto::kdf;
use crate::secret::{GuardKey, UnlockKey};

const MAGIC: &[u8; 8] = b"ROOTSEAL";
const VERSION: u32 = 1;
const PREFIX: usize = 16;
const MAC: usize = 32;

/// Most bytes of a file.
pub(super) const LARGEST_FILE: usize = 1 << 30;
const LARGEST_HEADER: usize = 1 << 20;
const LARGEST_SECTION: usize = 64 << 20;
const WORTH_A_THREAD: usize = 4 << 20;

/// One file, in one piece of memory.
pub(super) struct Image {
    bytes: Vec<u8>,
    header: Header,
    /// Where the header ends.
    signed: usize,
}

impl Image {
    /// Reads the structure; nothing is verified.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, VaultError> {
        if bytes.len() > LARGEST_FILE {
            return Err(VaultError::TooLarge(Part::Length));
        }
        let prefix = || VaultError::Damaged(Part::Prefix);
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(prefix)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(prefix)?;
        if magic != MAGIC {
            return Err(prefix());
        }
        match u32::from_be_bytes(*version) {
            VERSION => {}
            0 => return Err(prefix()),
            newer => return Err(VaultError::NewerFormat(newer)),
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(prefix)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_size| prefix())?;
        if !(1..=LARGEST_HEADER).contains(&length) {
            return Err(prefix());
        }
        let encoded = rest.get(..length).ok_or(VaultError::Damaged(Part::Length))?;
        let damaged = VaultError::Damaged(Part::Header);
        let header = Header::decode(encoded).map_err(|_malformed| damaged)?;
        header.validate().and_then(|()| header.validate_shares()).map_err(|_rule| damaged)?;
        // One encoding for one header: what the reader let pass is exactly what we would have written.
        if header.encode() != encoded {
            return Err(VaultError::Damaged(Part::Header));
        }
        let signed = PREFIX.saturating_add(length);
        let Lengths { index, manifest, records } = header.lengths;
        if index > LARGEST_SECTION || manifest > LARGEST_SECTION {
            return Err(VaultError::Damaged(Part::Header));
        }
        let total = [MAC, index, manifest, records].into_iter().try_fold(signed, usize::checked_add);
        if total != Some(bytes.len()) {
            return Err(VaultError::Damaged(Part::Length));
        }
        Ok(Self { bytes, header, signed })
    }

    /// Puts a file together: `header` gets its lengths, `index` is sealed, the MAC computed.
    pub(super) fn assemble(
        mut header: Header,
        key: &UnlockKey,
        index: &Index,
        manifest: &[u8],
        records: &[&[u8]],
    ) -> Result<Self, VaultError> {
        let plaintext = index.encode();
        let sizes = records.iter().try_fold(0_usize, |sum, part| sum.checked_add(part.len()));
        header.lengths = Lengths {
            index: plaintext.len().saturating_add(TAG),
            manifest: manifest.len(),
            records: sizes.ok_or(VaultError::TooLarge(Part::Records))?,
        };
        header.validate()?;
        header.validate_shares()?;
        let encoded = header.encode();
        let Lengths { index, manifest: _, records: all } = header.lengths;
        let total = [PREFIX, encoded.len(), MAC, index, manifest.len(), all]
            .into_iter()
            .try_fold(0, usize::checked_add)
            .filter(|total| *total <= LARGEST_FILE);
        let limits = [
            (encoded.len() <= LARGEST_HEADER, Part::Header),
            (index <= LARGEST_SECTION, Part::Index),
            (manifest.len() <= LARGEST_SECTION, Part::Manifest),
        ];
        if let Some((_, part)) = limits.into_iter().find(|(kept, _)| !kept) {
            return Err(VaultError::TooLarge(part));
        }
        let mut bytes = Vec::with_capacity(total.ok_or(VaultError::TooLarge(Part::Length))?);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        let length = u32::try_from(encoded.len()).map_err(|_size| VaultError::TooLarge(Part::Header))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&encoded);
        let signed = bytes.len();
        let mac = header_mac(key, &header, &bytes);
        bytes.extend_from_slice(&mac);
        let aad = hash::sha256(&[&bytes]);
        index_key(key, &header).seal(&aad, &plaintext, &mut bytes)?;
        bytes.extend_from_slice(manifest);
        for part in records {
            bytes.extend_from_slice(part);
        }
        Ok(Self { bytes, header, signed })
    }

    /// Verifies everything that the unlock key can verify, and opens the index.
    pub(super) fn open(&self, key: &UnlockKey) -> Result<Index, VaultError> {
        let signed = self.section(0, self.signed);
        if !hash::equal(&header_mac(key, &self.header, signed), self.mac_bytes()) {
            return Err(VaultError::Damaged(Part::HeaderMac));
        }
        // The hashes of a large vault take as long as its index does: on a thread of their own.
        let hashes = || (hash::sha256(&[self.manifest()]), hash::sha256(&[self.records()]));
        let (index, (manifest, records)) = if self.bytes.len() < WORTH_A_THREAD {
            (self.open_index(key), hashes())
        } else {
            std::thread::scope(|scope| {
                let other = scope.spawn(hashes);
                (self.open_index(key), other.join().unwrap_or_default())
            })
        };
        let index = index?;
        if manifest != index.manifest_hash {
            return Err(VaultError::Damaged(Part::Manifest));
        }
        if records != index.records_hash {
            return Err(VaultError::Damaged(Part::Records));
        }
        Ok(index)
    }

    /// Verifies that these keys are the file's own.
    pub(super) fn prove(&self, unlock: &UnlockKey, guard: Option<&GuardKey>) -> Result<(), VaultError> {
        let index = self.open(unlock)?;
        guard.map_or(Ok(()), |key| Manifest::open(key, &self.header, &index, self.manifest()).map(drop))
    }

    fn open_index(&self, key: &UnlockKey) -> Result<Index, VaultError> {
        let Lengths { index, records, .. } = self.header.lengths;
        let aad = hash::sha256(&[self.section(0, self.signed), self.mac_bytes()]);
        let sealed = self.section(self.signed.saturating_add(MAC), index);
        let plaintext =
            index_key(key, &self.header).open(&aad, sealed).map_err(super::error::damaged(Part::Index))?;
        Index::decode(&plaintext, records).map_err(|_malformed| VaultError::Damaged(Part::Index))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(test)]
    pub(super) fn byte_mut(&mut self, position: usize) -> &mut u8 {
        &mut self.bytes[position]
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn mac(&self) -> [u8; 32] {
        self.mac_bytes().try_into().unwrap_or_default()
    }

    pub(super) fn manifest(&self) -> &[u8] {
        let Lengths { index, manifest, .. } = self.header.lengths;
        self.section(self.signed.saturating_add(MAC).saturating_add(index), manifest)
    }

    pub(super) fn records(&self) -> &[u8] {
        let Lengths { records, .. } = self.header.lengths;
        self.section(self.bytes.len().saturating_sub(records), records)
    }

    pub(super) fn record(&self, item: &Item) -> &[u8] {
        self.records().get(item.range()).unwrap_or_default()
    }

    fn mac_bytes(&self) -> &[u8] {
        self.section(self.signed, MAC)
    }

    /// Sections lie within the file: `parse` and `assemble` have seen to that.
    fn section(&self, start: usize, length: usize) -> &[u8] {
        self.bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    }
}

fn header_mac(key: &UnlockKey, header: &Header, signed: &[u8]) -> [u8; 32] {
    let info: [&[u8]; 2] = [b"rootseal/v1/header", header.vault.as_bytes()];
    let mac_key = key.with(|key| kdf::derive(key, &header.salt, &info));
    hash::hmac_sha256(&mac_key, &[signed])
}

fn index_key(key: &UnlockKey, header: &Header) -> MessageKey {
    let info: [&[u8]; 2] = [b"rootseal/v1/index", header.vault.as_bytes()];
    key.with(|key| MessageKey::derive(key, &header.salt, &info))
}
