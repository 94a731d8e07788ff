//! What Yubico's PIV application says of the key that it is on, beside SP 800-73.

use super::PivError;
use super::Status;
use super::apdu::Command;
use super::client::Piv;
use super::slot::Slot;

const GET_VERSION: u8 = 0xfd;
const GET_SERIAL: u8 = 0xf8;
const ATTEST: u8 = 0xf9;

/// A firmware version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u8; 3]);

impl Piv<'_> {
    /// The version, of a YubiKey; other cards do not know the command.
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Malformed`].
    pub fn version(&mut self) -> Result<Option<Version>, PivError> {
        Ok(self.number(GET_VERSION)?.map(Version))
    }

    /// The serial number, of a YubiKey of firmware 5 and later. (Older ones say it in their OTP application.)
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Malformed`].
    pub fn serial(&mut self) -> Result<Option<u32>, PivError> {
        Ok(self.number(GET_SERIAL)?.map(u32::from_be_bytes))
    }

    fn number<const N: usize>(&mut self, ins: u8) -> Result<Option<[u8; N]>, PivError> {
        let command = Command { ins, p1: 0, p2: 0, data: &[], answered: true };
        let (Status::Success, answer) = self.session.exchange(&command)? else { return Ok(None) };
        let number = answer.as_slice().try_into();
        number.map(Some).map_err(|_length| PivError::Malformed("a version or a serial of another length"))
    }

    /// The certificate, DER, by which a YubiKey says that the key in a slot was made in it. Nothing is verified here.
    ///
    /// # Errors
    /// [`PivError::Unsupported`] for a key that was imported, and on other cards; [`PivError::Channel`].
    pub fn attestation(&mut self, slot: Slot) -> Result<Vec<u8>, PivError> {
        let command = Command { ins: ATTEST, p1: slot.number(), p2: 0, data: &[], answered: true };
        match self.session.exchange(&command)? {
            (Status::Success, certificate) => Ok(certificate.to_vec()),
            _ => Err(PivError::Unsupported("attestation of this key")),
        }
    }

    /// The certificate, DER, of the key that signs attestations: it lies in slot f9, and is Yubico's to sign.
    ///
    /// # Errors
    /// As [`Self::attestation`].
    pub fn attester(&mut self) -> Result<Vec<u8>, PivError> {
        let object = self.object([0x5f, 0xff, 0x01])?.ok_or(PivError::Unsupported("attestation"))?;
        Ok(super::tlv::find(&object, 0x70)?.to_vec())
    }
}
