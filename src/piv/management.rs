//! What the management key allows: making keys and writing objects (SP 800-73-4 part 2 section 3.3).
#![expect(clippy::wildcard_enum_match_arm, reason = "a refusal that means nothing of its own is passed on")]

use super::apdu::Command;
use super::client::Piv;
use super::key::PublicKey;
use super::slot::{Algorithm, PinPolicy, Slot, TouchPolicy};
use super::{PivError, Status, tlv};
use crate::crypto::{hash, random};
use crate::secret::ManagementKey;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

/// Key reference of the management key.
const MANAGEMENT: u8 = 0x9b;
/// What ykman notes of itself on a YubiKey (`PIVMAN_DATA`).
const PIVMAN: [u8; 3] = [0x5f, 0xff, 0x00];
/// The printed information (part 1 section 3.2.3), which is read with the PIN alone: where ykman keeps a management
/// key that the PIN protects.
const PRINTED: [u8; 3] = [0x5f, 0xc1, 0x09];
const GENERATE: u8 = 0x47;
const PUT_DATA: u8 = 0xdb;

/// What a YubiKey's key is to ask for. Other cards refuse to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    /// The PIN.
    pub pin: PinPolicy,
    /// A touch.
    pub touch: TouchPolicy,
}

/// The cipher of a management key (SP 800-78-4 table 6-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    Tdes,
    Aes128,
    Aes192,
    Aes256,
}

impl Cipher {
    const ALL: [Self; 4] = [Self::Tdes, Self::Aes128, Self::Aes192, Self::Aes256];

    const fn number(self) -> u8 {
        match self {
            Self::Tdes => 0x03,
            Self::Aes128 => 0x08,
            Self::Aes192 => 0x0a,
            Self::Aes256 => 0x0c,
        }
    }

    const fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Tdes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    const fn block(self) -> usize {
        match self {
            Self::Tdes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }

    fn run(self, key: &ManagementKey, way: Way, block: &[u8]) -> Result<Zeroizing<Vec<u8>>, PivError> {
        key.with(|key| match self {
            Self::Tdes => one_block::<des::TdesEde3>(key, way, block),
            Self::Aes128 => one_block::<aes::Aes128>(key, way, block),
            Self::Aes192 => one_block::<aes::Aes192>(key, way, block),
            Self::Aes256 => one_block::<aes::Aes256>(key, way, block),
        })
    }
}

#[derive(Clone, Copy)]
enum Way {
    Encrypt,
    Decrypt,
}

fn one_block<C>(key: &[u8], way: Way, block: &[u8]) -> Result<Zeroizing<Vec<u8>>, PivError>
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt,
{
    let cipher = C::new_from_slice(key).map_err(|_length| PivError::ManagementKeyWrong)?;
    let mut block = Array::<u8, C::BlockSize>::try_from(block)
        .map_err(|_length| PivError::Malformed("a challenge of another length"))?;
    match way {
        Way::Encrypt => cipher.encrypt_block(&mut block),
        Way::Decrypt => cipher.decrypt_block(&mut block),
    }
    Ok(Zeroizing::new(block.to_vec()))
}

impl Piv<'_> {
    /// Authenticates with the management key, both ways: the card shows that it knows the key, too.
    ///
    /// A card that does not name its cipher has one that the key's length tells: 16 bytes are AES-128, 32 are AES-256,
    /// and 24 are taken for triple DES, the only one until 2021.
    ///
    /// # Errors
    /// [`PivError::ManagementKeyWrong`], [`PivError::Impostor`], [`PivError::Random`], [`PivError::Channel`].
    pub fn authenticate_management(&mut self, key: &ManagementKey) -> Result<(), PivError> {
        let cipher = self.management_cipher(key)?;
        self.session.reset_after();
        // 80 WITNESS, empty: the card encrypts a number of its own.
        let ask = tlv::build(0x7c, &[&[0x80, 0x00]])?;
        let witness = self.general_authenticate(cipher.number(), MANAGEMENT, &ask, 0x80)?;
        let witness = cipher.run(key, Way::Decrypt, &witness)?;
        let mut challenge = vec![0; cipher.block()];
        random::fill(&mut challenge).map_err(|_none| PivError::Random)?;
        let reply = [tlv::build(0x80, &[&witness])?, tlv::build(0x81, &[&challenge])?];
        let reply = tlv::build(0x7c, &[&reply[0], &reply[1]])?;
        let answer = match self.general_authenticate(cipher.number(), MANAGEMENT, &reply, 0x82) {
            Err(PivError::NotVerified | PivError::Status(Status::WrongData | Status::TriesLeft(_))) => {
                return Err(PivError::ManagementKeyWrong);
            }
            answer => answer?,
        };
        let proof = cipher.run(key, Way::Encrypt, &challenge)?;
        if hash::equal(&answer, &proof) { Ok(()) } else { Err(PivError::Impostor) }
    }

    fn management_cipher(&mut self, key: &ManagementKey) -> Result<Cipher, PivError> {
        let length = key.with(<[u8]>::len);
        let named = match self.metadata(MANAGEMENT)? {
            Some(metadata) => tlv::find_optional(&metadata, 0x01)?.map(<[u8]>::to_vec),
            None => None,
        };
        let fits = |cipher: &Cipher| match named.as_deref() {
            Some(number) => [cipher.number()] == number,
            None => cipher.key_length() == length,
        };
        let cipher = Cipher::ALL.into_iter().find(fits);
        cipher.filter(|cipher| cipher.key_length() == length).ok_or(PivError::ManagementKeyWrong)
    }

    /// The management key that the PIN protects, as ykman stores it (`--protect`). The PIN must have been verified.
    ///
    /// # Errors
    /// [`PivError::NotVerified`]; [`PivError::Unsupported`] for the older way, a key derived from the PIN;
    /// [`PivError::Malformed`], [`PivError::Channel`].
    pub fn protected_management_key(&mut self) -> Result<Option<ManagementKey>, PivError> {
        let Some(noted) = self.object(PIVMAN)? else { return Ok(None) };
        let Some(noted) = tlv::find_optional(&noted, 0x80)? else { return Ok(None) };
        // 81: flags, of which 02 says that the key is stored; 82: the salt of a derived one.
        let stored =
            tlv::find_optional(noted, 0x81)?.and_then(<[u8]>::first).is_some_and(|flags| flags & 0x02 != 0);
        if !stored {
            return match tlv::find_optional(noted, 0x82)? {
                Some(_) => Err(PivError::Unsupported("a management key that is derived from the PIN")),
                None => Ok(None),
            };
        }
        let Some(printed) = self.object(PRINTED)? else { return Ok(None) };
        let Some(protected) = tlv::find_optional(&printed, 0x88)? else { return Ok(None) };
        let Some(key) = tlv::find_optional(protected, 0x89)? else { return Ok(None) };
        match key.len() {
            16 | 24 | 32 => Ok(Some(ManagementKey::copy_from(key))),
            _ => Err(PivError::Malformed("a management key of another length")),
        }
    }

    /// Makes a key in a slot that is empty as far as the card tells, or, with `replace`, in any: the old key is lost.
    /// The management key must have been authenticated. RSA takes up to a minute.
    ///
    /// Nothing else is written. On a card without metadata nobody can see the key before there is a certificate
    /// beside it ([`PublicKey::certificate`], [`Self::put_certificate`]).
    ///
    /// # Errors
    /// [`PivError::SlotTaken`], [`PivError::NotVerified`], [`PivError::Unsupported`], [`PivError::InvalidKey`],
    /// [`PivError::Channel`].
    pub fn generate(
        &mut self,
        slot: Slot,
        algorithm: Algorithm,
        policies: Option<Policies>,
        replace: bool,
    ) -> Result<PublicKey, PivError> {
        if !replace {
            match self.key(slot) {
                Ok(None) => {}
                Err(PivError::Channel(error)) => return Err(error.into()),
                // What cannot be read is there all the same.
                Ok(Some(_)) | Err(_) => return Err(PivError::SlotTaken(slot.number())),
            }
            // Where metadata said that there is no key, there may be somebody's certificate.
            if self.tells_of_every_key()
                && self.object(slot.certificate())?.is_some_and(|object| !object.is_empty())
            {
                return Err(PivError::SlotTaken(slot.number()));
            }
        }
        // Section 3.3.2: the control reference template; AA and AB are Yubico's.
        let mut template = tlv::build(0x80, &[&[algorithm.number()]])?;
        if let Some(policies) = policies {
            tlv::append(&mut template, 0xaa, &[&[policies.pin.number()]])?;
            tlv::append(&mut template, 0xab, &[&[policies.touch.number()]])?;
        }
        let template = tlv::build(0xac, &[&template])?;
        let command = Command { ins: GENERATE, p1: 0, p2: slot.number(), data: &template, answered: true };
        let answer = match self.session.exchange(&command)? {
            (Status::Success, answer) => answer,
            (Status::SecurityStatus, _) => return Err(PivError::NotVerified),
            (Status::WrongData | Status::NotSupported | Status::WrongParameters, _) => {
                return Err(PivError::Unsupported("a key of this kind in this slot"));
            }
            (refused, _) => return Err(refused.into()),
        };
        PublicKey::from_card(algorithm, tlv::only(&answer, 0x7f49)?)
    }

    /// Writes a certificate, DER, beside the key in a slot. The management key must have been authenticated.
    ///
    /// # Errors
    /// [`PivError::Full`], [`PivError::NotVerified`], [`PivError::Channel`].
    pub fn put_certificate(&mut self, slot: Slot, der: &[u8]) -> Result<(), PivError> {
        // Part 1 table 10: certificate, CertInfo (not compressed), an empty error detection code.
        let object = tlv::build(0x53, &[&tlv::build(0x70, &[der])?, &[0x71, 0x01, 0x00, 0xfe, 0x00]])?;
        let data = [tlv::build(0x5c, &[&slot.certificate()])?, object].concat();
        let command = Command { ins: PUT_DATA, p1: 0x3f, p2: 0xff, data: &data, answered: false };
        match self.session.exchange(&command)?.0 {
            Status::Success => Ok(()),
            Status::SecurityStatus => Err(PivError::NotVerified),
            Status::Full => Err(PivError::Full),
            refused => Err(refused.into()),
        }
    }
}
