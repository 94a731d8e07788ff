//! YubiKey HMAC-SHA1 challenge-response, over CCID or the reports of its keyboard: opens the unlock lock only, for it
//! has no PIN and its answer never changes. A keyslot knows token and slot, and not the wire.

use super::{Derived, Device, NewKey, PinPurpose, Token, TokenError, Touch, Traits, Wanted};
use crate::channel::{Card, FeatureReports, Patience};
use crate::crypto::random;
use crate::piv::{Otp, OtpCard, OtpReports, OtpSlot, PivError};
use crate::secret::Pin;
use minicbor::{Decoder, Encoder};

/// What the application is reached by.
pub(super) enum Wire {
    /// A reader.
    Card(Box<dyn Card>),
    /// A keyboard.
    Reports(Box<dyn FeatureReports>),
}

/// The OTP application of a YubiKey; connected when it is first asked something.
pub(super) struct OtpHmacToken {
    connect: Box<dyn Fn() -> Result<Wire, TokenError> + Send>,
    wire: Option<Wire>,
}

impl OtpHmacToken {
    pub(super) fn new(connect: impl Fn() -> Result<Wire, TokenError> + Send + 'static) -> Self {
        Self { connect: Box::new(connect), wire: None }
    }

    /// One transaction.
    fn transaction<R>(
        &mut self,
        patience: &Patience,
        run: impl FnOnce(&mut dyn Otp) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        let wire = match &mut self.wire {
            Some(wire) => wire,
            None => self.wire.insert((self.connect)()?),
        };
        let result = match wire {
            Wire::Card(card) => {
                OtpCard::open(card, patience).map_err(TokenError::from).and_then(|mut otp| run(&mut otp))
            }
            Wire::Reports(reports) => OtpReports::open(reports, patience)
                .map_err(TokenError::from)
                .and_then(|mut otp| run(&mut otp)),
        };
        if matches!(result, Err(TokenError::Gone | TokenError::TimedOut | TokenError::Cancelled)) {
            self.wire = None;
        }
        result
    }
}

impl Device for OtpHmacToken {
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError> {
        self.transaction(patience, |otp| {
            let touch = match [OtpSlot::One, OtpSlot::Two].map(|slot| otp.status().needs_touch(slot)) {
                [true, true] => Touch::Always,
                [false, false] => Touch::Never,
                _ => Touch::Unknown,
            };
            let serial = otp.serial()?.map(|serial| serial.to_string());
            Ok(Traits { needs_pin: false, touch, serial })
        })
    }

    fn release(&mut self) {
        self.wire = None;
    }
}

impl Token for OtpHmacToken {
    fn find(&mut self, bindings: &[Vec<u8>], patience: &Patience) -> Result<Option<usize>, TokenError> {
        let bindings: Vec<_> =
            bindings.iter().map(|bytes| Binding::decode(bytes)).collect::<Result<_, _>>()?;
        self.transaction(patience, |otp| {
            let serial = otp.serial()?;
            let ours =
                |binding: &Binding| binding.serial == serial && otp.status().is_configured(binding.slot());
            Ok(bindings.iter().position(ours))
        })
    }

    /// There is no PIN.
    fn tries_left(&mut self, _: &Patience) -> Result<u32, TokenError> {
        Ok(0)
    }

    fn verify_pin(&mut self, _: &Pin, _: PinPurpose, _: &Patience) -> Result<(), TokenError> {
        Err(TokenError::NotAPin)
    }

    fn create(
        &mut self,
        key: &NewKey,
        patience: &Patience,
        _: &mut dyn FnMut(),
    ) -> Result<Vec<u8>, TokenError> {
        let second = choice(key)?;
        let challenge = random::public().map_err(|_no_randomness| TokenError::Busy)?;
        self.transaction(patience, |otp| {
            let mut binding = Binding { second, challenge, serial: otp.serial()?, touch: false };
            let slot = binding.slot();
            if !otp.status().is_configured(slot) {
                return Err(PivError::Unsupported("challenge-response in this OTP slot: it is empty").into());
            }
            binding.touch = otp.status().needs_touch(slot);
            Ok(binding.encode())
        })
    }

    fn derive(
        &mut self,
        binding: &[u8],
        wanted: Wanted,
        patience: &Patience,
        blinks: &mut dyn FnMut(),
    ) -> Result<Derived, TokenError> {
        let binding = Binding::decode(binding)?;
        if wanted.guard {
            return Err(TokenError::Unprotected);
        }
        self.transaction(patience, |otp| {
            if binding.touch {
                blinks();
            }
            let answer = otp.challenge_response(binding.slot(), &binding.challenge);
            let untouched = TokenError::TimedOut;
            let unlock = answer
                .map_err(|error| if error == PivError::NotVerified { untouched } else { error.into() })?;
            Ok(Derived { unlock: Some(unlock), guard: None })
        })
    }
}

/// Whether it is the second slot.
pub(super) fn choice(key: &NewKey) -> Result<bool, TokenError> {
    if key.generate.is_some() || key.management_key.is_some() {
        return Err(TokenError::NoChoice);
    }
    match key.slot.as_deref() {
        Some("1") => Ok(false),
        None | Some("2") => Ok(true),
        Some(_) => Err(TokenError::NoSuchChoice("the slot of a challenge-response key is 1 or 2")),
    }
}

/// What a keyslot keeps of it (`docs/vault-format.md`, "Kinds of keyslot").
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Binding {
    second: bool,
    challenge: [u8; 32],
    serial: Option<u32>,
    pub(super) touch: bool,
}

impl Binding {
    const fn slot(&self) -> OtpSlot {
        if self.second { OtpSlot::Two } else { OtpSlot::One }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.write(&mut Encoder::new(&mut bytes));
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        bytes
    }

    fn write(
        &self,
        out: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.map(4)?.u8(0)?.u8(if self.second { 2 } else { 1 })?.u8(1)?.bytes(&self.challenge)?.u8(2)?;
        match self.serial {
            Some(serial) => out.u32(serial)?,
            None => out.null()?,
        };
        out.u8(3)?.bool(self.touch)?;
        Ok(())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, TokenError> {
        let binding = Self::read(bytes).filter(|binding| binding.encode() == bytes);
        binding.ok_or(TokenError::Binding)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        let key = |from: &mut Decoder<'_>, expected: u8| (from.u8().ok()? == expected).then_some(());
        (from.map().ok()? == Some(4)).then_some(())?;
        key(&mut from, 0)?;
        let second = match from.u8().ok()? {
            1 => false,
            2 => true,
            _ => return None,
        };
        key(&mut from, 1)?;
        let challenge = from.bytes().ok()?.try_into().ok()?;
        key(&mut from, 2)?;
        let serial = super::optional(&mut from, |from| from.u32().ok())?;
        key(&mut from, 3)?;
        let touch = from.bool().ok()?;
        (from.position() == bytes.len()).then_some(Self { second, challenge, serial, touch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_read_as_it_was_written_and_in_no_other_form() {
        for serial in [None, Some(12_345_678)] {
            let binding = Binding { second: true, challenge: [7; 32], serial, touch: true };
            let bytes = binding.encode();
            assert_eq!(Binding::decode(&bytes), Ok(binding));
            for length in 0..bytes.len() {
                assert_eq!(Binding::decode(&bytes[..length]), Err(TokenError::Binding));
            }
            assert_eq!(Binding::decode(&[bytes.as_slice(), &[0]].concat()), Err(TokenError::Binding));
        }
    }
}
