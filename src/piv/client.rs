//! The PIV application (SP 800-73-4 part 2 section 3): what a keyslot needs of it.
#![expect(clippy::wildcard_enum_match_arm, reason = "a refusal that means nothing of its own is passed on")]

use super::apdu::{Command, Session};
use super::key::PublicKey;
use super::slot::{Algorithm, PinPolicy, Slot, TouchPolicy};
use super::{PivError, Status, tlv};
use crate::channel::{Card, Patience};
use crate::crypto::rsa;
use crate::secret::{Pin, TokenSecret};
use zeroize::Zeroizing;

/// The application with its version (part 1 section 2.2): some cards refuse the first five bytes alone.
pub const AID: [u8; 11] = [0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00];
/// Bytes of a PIN on the card, filled up with FF (section 2.4.3).
const PIN_LENGTH: usize = 8;
/// The key reference of the application's PIN.
const PIN: u8 = 0x80;
const CHUID: [u8; 3] = [0x5f, 0xc1, 0x02];
const VERIFY: u8 = 0x20;
const GET_DATA: u8 = 0xcb;
const GENERAL_AUTHENTICATE: u8 = 0x87;
/// Yubico's GET METADATA (firmware 5.3).
const GET_METADATA: u8 = 0xf7;

/// The PIV application of a card that is ours alone while this lives.
pub struct Piv<'c> {
    pub(super) session: Session<'c>,
    no_metadata: bool,
}

/// How many wrong PINs the card still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinTries {
    /// So many; none is left when the PIN is blocked.
    Left(u8),
    /// The PIN is verified at the moment, and the card does not count aloud then.
    Verified,
}

/// A key in a slot, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotKey {
    /// Its public half.
    pub public: PublicKey,
    /// When it wants the PIN; only a `YubiKey` says so.
    pub pin_policy: Option<PinPolicy>,
    /// When it wants a touch; likewise.
    pub touch_policy: Option<TouchPolicy>,
    /// Whether it was made on the card; likewise, and no proof of it.
    pub generated: Option<bool>,
}

/// A slot that holds something, and what.
pub type Found = (Slot, Result<SlotKey, PivError>);

/// Yubico's metadata of a key reference: the elements, undecoded.
pub(super) type Metadata = Option<Zeroizing<Vec<u8>>>;

impl<'c> Piv<'c> {
    /// Takes the card and selects the application.
    ///
    /// # Errors
    /// [`PivError::NoApplication`], [`PivError::Channel`].
    pub fn open(card: &'c mut dyn Card, patience: &'c Patience) -> Result<Self, PivError> {
        let mut session = Session::begin(card, patience)?;
        session.select(&AID, "PIV")?;
        Ok(Self { session, no_metadata: false })
    }

    /// The card's number (GUID) in its CHUID (part 1 section 3.1.2), if it has one.
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Malformed`].
    pub fn guid(&mut self) -> Result<Option<[u8; 16]>, PivError> {
        let Some(object) = self.object(CHUID)? else { return Ok(None) };
        let guid = tlv::find_optional(&object, 0x34)?.map(<[u8; 16]>::try_from);
        let guid = guid.transpose().map_err(|_length| PivError::Malformed("a GUID of another length"))?;
        // Cards that were never personalised have zeros.
        Ok(guid.filter(|guid| *guid != [0; 16]))
    }

    /// How many wrong PINs the card takes until it blocks. Costs none (section 3.2.1: VERIFY without data).
    ///
    /// # Errors
    /// [`PivError::Channel`], [`PivError::Status`].
    pub fn pin_tries(&mut self) -> Result<PinTries, PivError> {
        if let PinTries::Left(left) = self.empty_verify(0x00)? {
            return Ok(PinTries::Left(left));
        }
        // Verified, perhaps by another program. A YubiKey counts aloud all the same; SP 800-73-4 has a command that
        // takes the verification back, which other cards may know.
        if let Some(metadata) = self.metadata(PIN)?
            && let Some([_, left]) = tlv::find_optional(&metadata, 0x06)?
        {
            return Ok(PinTries::Left(*left));
        }
        match self.empty_verify(0xff) {
            Ok(PinTries::Verified) => self.empty_verify(0x00),
            Ok(left) => Ok(left),
            Err(PivError::Status(_)) => Ok(PinTries::Verified),
            Err(error) => Err(error),
        }
    }

    fn empty_verify(&mut self, p1: u8) -> Result<PinTries, PivError> {
        let command = Command { ins: VERIFY, p1, p2: PIN, data: &[], answered: false };
        match self.session.exchange(&command)?.0 {
            Status::Success => Ok(PinTries::Verified),
            Status::TriesLeft(left) => Ok(PinTries::Left(left)),
            Status::Blocked => Ok(PinTries::Left(0)),
            refused => Err(refused.into()),
        }
    }

    /// Verifies the PIN. The tries are read before: the last one is spent only if `spend_last` says so. The card is
    /// reset when it is let go, so that no other program finds it verified.
    ///
    /// # Errors
    /// [`PivError::PinWrong`] (a try is spent), [`PivError::LastTry`], [`PivError::PinBlocked`],
    /// [`PivError::NotAPin`] (none is), [`PivError::Channel`].
    pub fn verify_pin(&mut self, pin: &Pin, spend_last: bool) -> Result<(), PivError> {
        let mut padded = Zeroizing::new([0xff; PIN_LENGTH]);
        pin.with(|pin| {
            // An FF is what the card fills up with.
            if !(4..=PIN_LENGTH).contains(&pin.len()) || pin.contains(&0xff) {
                return Err(PivError::NotAPin);
            }
            padded.iter_mut().zip(pin).for_each(|(to, from)| *to = *from);
            Ok(())
        })?;
        match self.pin_tries()? {
            PinTries::Left(0) => return Err(PivError::PinBlocked),
            PinTries::Left(1) if !spend_last => return Err(PivError::LastTry),
            PinTries::Left(_) | PinTries::Verified => {}
        }
        self.session.reset_after();
        let command = Command { ins: VERIFY, p1: 0, p2: PIN, data: padded.as_slice(), answered: false };
        match self.session.exchange(&command)?.0 {
            Status::Success => Ok(()),
            Status::TriesLeft(0) | Status::Blocked => Err(PivError::PinBlocked),
            Status::TriesLeft(left) => Err(PivError::PinWrong(left)),
            Status::WrongData | Status::WrongLength => Err(PivError::NotAPin),
            refused => Err(refused.into()),
        }
    }

    /// The key in a slot, if there is one: from a YubiKey's metadata, else from the slot's certificate. A card that
    /// has neither may hold a key that nobody can see.
    ///
    /// # Errors
    /// [`PivError::ForeignAlgorithm`], [`PivError::InvalidKey`], [`PivError::Malformed`], [`PivError::Channel`].
    pub fn key(&mut self, slot: Slot) -> Result<Option<SlotKey>, PivError> {
        if let Some(metadata) = self.metadata(slot.number())? {
            return slot_key(&metadata, slot).map(Some);
        }
        if self.tells_of_every_key() {
            // A certificate that lies there belongs to no key of this card's.
            return Ok(None);
        }
        let Some(object) = self.object(slot.certificate())? else { return Ok(None) };
        let Some(der) = tlv::find_optional(&object, 0x70)?.filter(|der| !der.is_empty()) else {
            return Ok(None);
        };
        // Part 1 table 39: the lowest bits of CertInfo say whether it is compressed.
        if let Some([info, ..]) = tlv::find_optional(&object, 0x71)?
            && info & 0x03 != 0
        {
            return Err(PivError::Unsupported("a compressed certificate"));
        }
        let public = PublicKey::from_certificate(der, slot)?;
        Ok(Some(SlotKey { public, pin_policy: None, touch_policy: None, generated: None }))
    }

    /// Whether the card knows metadata, as far as it was asked: then a slot where [`Self::key`] found none is empty.
    pub fn tells_of_every_key(&self) -> bool {
        !self.no_metadata
    }

    /// All slots that hold something. One that cannot be read has its error; the others are read all the same.
    ///
    /// # Errors
    /// [`PivError::Channel`] alone.
    pub fn keys(&mut self) -> Result<Vec<Found>, PivError> {
        let mut found = Vec::new();
        for slot in Slot::all() {
            match self.key(slot) {
                Ok(None) => {}
                Ok(Some(key)) => found.push((slot, Ok(key))),
                Err(PivError::Channel(error)) => return Err(error.into()),
                Err(error) => found.push((slot, Err(error))),
            }
        }
        Ok(found)
    }

    /// The secret of [`PublicKey::seal`], which the key in `slot` opens. May wait for a touch.
    ///
    /// # Errors
    /// [`PivError::NotVerified`], [`PivError::InvalidKey`] (the answer is no secret of this capsule),
    /// [`PivError::Malformed`], [`PivError::Status`], [`PivError::Channel`].
    pub fn open_sealed(
        &mut self,
        slot: Slot,
        algorithm: Algorithm,
        capsule: &[u8],
        label: &[u8],
    ) -> Result<TokenSecret, PivError> {
        let Some(curve) = algorithm.curve() else {
            // 81 CHALLENGE: what the private key is to be applied to (section 3.2.4).
            let block = self.authenticate(algorithm, slot, 0x81, capsule)?;
            if block.len() != capsule.len() {
                return Err(PivError::Malformed("a decrypted block of another length"));
            }
            return rsa::unpad(&block, label, 32)
                .map_err(|_which_check_is_nobody_s_to_know| PivError::InvalidKey);
        };
        curve.check_point(capsule).map_err(|_malformed| PivError::InvalidKey)?;
        // 85 EXPONENTIATION: the point to be multiplied.
        let x = self.authenticate(algorithm, slot, 0x85, capsule)?;
        curve.check_x(&x).map_err(|_malformed| PivError::InvalidKey)?;
        Ok(TokenSecret::copy_from(&x))
    }

    fn authenticate(
        &mut self,
        algorithm: Algorithm,
        slot: Slot,
        tag: u16,
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, PivError> {
        // 82 RESPONSE, empty: what is asked for.
        let template = tlv::build(0x7c, &[&[0x82, 0x00], &tlv::build(tag, &[input])?])?;
        self.general_authenticate(algorithm.number(), slot.number(), &template, 0x82)
    }

    /// One GENERAL AUTHENTICATE: the value under `wanted` in its answer.
    pub(super) fn general_authenticate(
        &mut self,
        p1: u8,
        p2: u8,
        template: &[u8],
        wanted: u16,
    ) -> Result<Zeroizing<Vec<u8>>, PivError> {
        let command = Command { ins: GENERAL_AUTHENTICATE, p1, p2, data: template, answered: true };
        let answer = match self.session.exchange(&command)? {
            (Status::Success, answer) => answer,
            (Status::SecurityStatus, _) => return Err(PivError::NotVerified),
            (refused, _) => return Err(refused.into()),
        };
        Ok(Zeroizing::new(tlv::find(tlv::only(&answer, 0x7c)?, wanted)?.to_vec()))
    }

    /// A data object (section 3.1.2), without its wrapping `53`.
    pub(super) fn object(&mut self, tag: [u8; 3]) -> Result<Option<Zeroizing<Vec<u8>>>, PivError> {
        let name = tlv::build(0x5c, &[&tag])?;
        let command = Command { ins: GET_DATA, p1: 0x3f, p2: 0xff, data: &name, answered: true };
        match self.session.exchange(&command)? {
            (Status::Success, object) => Ok(Some(Zeroizing::new(tlv::only(&object, 0x53)?.to_vec()))),
            (Status::NotFound, _) => Ok(None),
            (Status::SecurityStatus, _) => Err(PivError::NotVerified),
            (refused, _) => Err(refused.into()),
        }
    }

    /// Metadata of a key, the PIN or the management key: none where there is no key, or from a card that knows none.
    pub(super) fn metadata(&mut self, reference: u8) -> Result<Metadata, PivError> {
        if self.no_metadata {
            return Ok(None);
        }
        let command = Command { ins: GET_METADATA, p1: 0, p2: reference, data: &[], answered: true };
        match self.session.exchange(&command)? {
            (Status::Success, metadata) => Ok(Some(metadata)),
            (Status::NoReference, _) => Ok(None),
            _ => {
                self.no_metadata = true;
                Ok(None)
            }
        }
    }
}

/// Yubico's elements: 01 algorithm, 02 policies, 03 origin, 04 public key.
fn slot_key(metadata: &[u8], slot: Slot) -> Result<SlotKey, PivError> {
    let [number] = tlv::find(metadata, 0x01)? else {
        return Err(PivError::Malformed("an algorithm of another length"));
    };
    let public = PublicKey::from_card(Algorithm::of(*number, slot)?, tlv::find(metadata, 0x04)?)?;
    let policies = tlv::find_optional(metadata, 0x02)?.unwrap_or_default();
    let origin = tlv::find_optional(metadata, 0x03)?.and_then(|origin| origin.first().copied());
    Ok(SlotKey {
        public,
        pin_policy: policies.first().copied().and_then(PinPolicy::of),
        touch_policy: policies.get(1).copied().and_then(TouchPolicy::of),
        generated: origin.map(|origin| origin == 1),
    })
}
