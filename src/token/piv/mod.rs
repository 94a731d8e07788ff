//! PIV cards: a key that agrees (ECDH) or decrypts (RSA-OAEP), one sealed secret for each lock.
//!
//! The card is taken for one question at a time, for other programs use it too; the PIN is kept in locked memory
//! between the prompt and the use, and verified again where it is used. A card that verified a PIN is reset when it
//! is let go.

mod binding;

pub(super) use binding::Binding;

use super::{Derived, Device, NewKey, PinPurpose, Token, TokenError, Touch, Traits, Wanted};
use crate::channel::{Card, Patience};
use crate::crypto::hash;
use crate::piv::{
    Algorithm, Attestation, PinPolicy, PinTries, Piv, PivError, Policies, PublicKey, Said, Slot, SlotKey,
    TouchPolicy,
};
use crate::secret::{ManagementKey, Pin, TokenSecret};

/// What an RSA secret is bound to, for each lock. On a curve the vault's own derivation binds it.
const LABELS: [&[u8]; 2] = [b"rootseal piv unlock", b"rootseal piv guard"];
/// The management key that cards come with (SP 800-73 reference cards, every `YubiKey`).
const FACTORY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

type Wire = Box<dyn Card>;

/// A PIV card in a reader; connected when it is first asked something.
pub(super) struct PivToken {
    connect: Box<dyn Fn() -> Result<Wire, TokenError> + Send>,
    card: Option<Wire>,
    pin: Option<Pin>,
    /// The tries that whoever typed the PIN was told of.
    told: Option<u8>,
    /// What a new key has to answer, and the binding that it is of.
    expected: Option<(Vec<u8>, [TokenSecret; 2])>,
}

impl PivToken {
    pub(super) fn new(connect: impl Fn() -> Result<Wire, TokenError> + Send + 'static) -> Self {
        Self { connect: Box::new(connect), card: None, pin: None, told: None, expected: None }
    }

    /// One transaction.
    fn transaction<R>(
        &mut self,
        patience: &Patience,
        run: impl FnOnce(&mut Piv<'_>) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        let card = match &mut self.card {
            Some(card) => card,
            None => self.card.insert((self.connect)()?),
        };
        let result = Piv::open(card, patience).map_err(TokenError::from).and_then(|mut piv| run(&mut piv));
        if matches!(result, Err(TokenError::Gone | TokenError::TimedOut | TokenError::Cancelled)) {
            self.card = None;
        }
        result
    }
}

impl Device for PivToken {
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError> {
        self.transaction(patience, |piv| {
            let serial = piv.serial()?.map(|serial| serial.to_string());
            // A slot that cannot be read says nothing of the card.
            let key = piv.key(Slot::KEY_MANAGEMENT).ok().flatten();
            let touch = match key.and_then(|key| key.touch_policy) {
                Some(TouchPolicy::Always) => Touch::Always,
                Some(TouchPolicy::Cached) => Touch::Cached,
                Some(TouchPolicy::Never) => Touch::Never,
                None => Touch::Unknown,
            };
            Ok(Traits { needs_pin: true, touch, serial })
        })
    }

    fn release(&mut self) {
        self.pin = None;
        self.told = None;
        self.expected = None;
        self.card = None;
    }
}

impl Token for PivToken {
    fn find(&mut self, bindings: &[Vec<u8>], patience: &Patience) -> Result<Option<usize>, TokenError> {
        let bindings: Vec<_> =
            bindings.iter().map(|bytes| Binding::decode(bytes)).collect::<Result<_, _>>()?;
        self.transaction(patience, |piv| {
            let (guid, serial) = (piv.guid(), piv.serial()?);
            if let Err(PivError::Channel(error)) = guid {
                return Err(error.into());
            }
            let guid = guid.ok().flatten();
            for (index, binding) in bindings.iter().enumerate() {
                if binding.serial != serial {
                    continue;
                }
                let ours = match piv.key(binding.slot) {
                    Ok(Some(SlotKey { public, .. })) => public == binding.key,
                    Err(PivError::Channel(error)) => return Err(error.into()),
                    Err(PivError::ForeignAlgorithm { .. } | PivError::InvalidKey) => false,
                    Ok(None) if piv.tells_of_every_key() => false,
                    // Nobody can see it: it may be ours if the card is. (The number alone tells nothing: tools write a
                    // new one whenever something on the card changes.)
                    Ok(None) | Err(_) => binding.guid == guid,
                };
                if ours {
                    return Ok(Some(index));
                }
            }
            Ok(None)
        })
    }

    fn tries_left(&mut self, patience: &Patience) -> Result<u32, TokenError> {
        let tries = self.transaction(patience, |piv| Ok(piv.pin_tries()?))?;
        // A card on which somebody's PIN is verified counts silently: say what must be true at least.
        let left = match tries {
            PinTries::Left(left) => left,
            PinTries::Verified => 1,
        };
        self.told = Some(left);
        Ok(u32::from(left))
    }

    fn verify_pin(&mut self, pin: &Pin, _: PinPurpose, patience: &Patience) -> Result<(), TokenError> {
        // Another program may have spent tries since they were told: the last one is for those who know.
        let spend_last = self.told.take() == Some(1);
        self.transaction(patience, |piv| Ok(piv.verify_pin(pin, spend_last)?))?;
        self.pin = Some(pin.with(Pin::copy_from));
        Ok(())
    }

    fn create(
        &mut self,
        key: &NewKey,
        patience: &Patience,
        _: &mut dyn FnMut(),
    ) -> Result<Vec<u8>, TokenError> {
        let pin = self.pin.take().ok_or(TokenError::PinRequired)?;
        let (slot, generate) = choices(key)?;
        let made = self.transaction(patience, |piv| {
            piv.verify_pin(&pin, false)?;
            match generate {
                Some(algorithm) => generated(piv, slot, algorithm, key.management_key.as_ref()),
                None => piv.key(slot)?.ok_or(TokenError::NoKey(slot.number())),
            }
        })?;
        let pin_free = made.pin_policy == Some(PinPolicy::Never);
        let touch_free = matches!(made.touch_policy, None | Some(TouchPolicy::Never));
        if pin_free && touch_free {
            return Err(TokenError::Unprotected);
        }
        let [unlock, guard] = [made.public.seal(LABELS[0])?, made.public.seal(LABELS[1])?];
        let expected = [unlock.secret, guard.secret];
        // The card was reset, and has forgotten the PIN.
        let binding = self.transaction(patience, |piv| {
            if made.pin_policy.is_none() {
                refuses_without_pin(piv, slot, &made.public, &unlock.capsule)?;
            }
            let said = Said {
                serial: piv.serial()?,
                version: piv.version()?,
                policies: (made.pin_policy, made.touch_policy),
            };
            let binding = Binding {
                slot,
                capsules: [unlock.capsule, guard.capsule],
                guid: piv.guid().ok().flatten(),
                serial: said.serial,
                pin: !pin_free,
                touch: !touch_free,
                evidence: if said.version.is_some() {
                    evidence(piv, slot, &made.public, &said)?
                } else {
                    Vec::new()
                },
                key: made.public,
            };
            Ok(binding.encode())
        })?;
        self.expected = Some((binding.clone(), expected));
        Ok(binding)
    }

    fn derive(
        &mut self,
        binding: &[u8],
        wanted: Wanted,
        patience: &Patience,
        blinks: &mut dyn FnMut(),
    ) -> Result<Derived, TokenError> {
        let expected = self.expected.take().filter(|(of, _)| of == binding).map(|(_, secrets)| secrets);
        let binding = Binding::decode(binding)?;
        let pin = self.pin.take();
        let derived = self.transaction(patience, |piv| {
            let mut open = |wanted: bool, lock: usize| -> Result<Option<TokenSecret>, TokenError> {
                let (Some(capsule), Some(label), true) =
                    (binding.capsules.get(lock), LABELS.get(lock), wanted)
                else {
                    return Ok(None);
                };
                if binding.pin {
                    // Before each use: some keys want it so (SP 800-73-4 part 1 section 3.3, "PIN Always").
                    piv.verify_pin(pin.as_ref().ok_or(TokenError::PinRequired)?, false)?;
                }
                if binding.touch {
                    blinks();
                }
                let secret = piv.open_sealed(binding.slot, binding.key.algorithm(), capsule, label);
                secret.map(Some).map_err(|error| {
                    if error == PivError::InvalidKey {
                        TokenError::NotEnrolled
                    } else if error == PivError::NotVerified && binding.touch {
                        // The PIN was right a moment ago.
                        TokenError::TimedOut
                    } else {
                        error.into()
                    }
                })
            };
            Ok(Derived { unlock: open(wanted.unlock, 0)?, guard: open(wanted.guard, 1)? })
        })?;
        if let Some([unlock, guard]) = expected
            && !(derived.unlock.as_ref().is_none_or(|secret| same(secret, &unlock))
                && derived.guard.as_ref().is_none_or(|secret| same(secret, &guard)))
        {
            return Err(TokenError::ForeignCertificate);
        }
        Ok(derived)
    }
}

fn same(a: &TokenSecret, b: &TokenSecret) -> bool {
    a.with(|a| b.with(|b| hash::equal(a, b)))
}

/// The slot, and the algorithm of a key to be made.
pub(super) fn choices(key: &NewKey) -> Result<(Slot, Option<Algorithm>), TokenError> {
    let slot = key.slot.as_deref().map_or(Ok(Slot::KEY_MANAGEMENT), str::parse)?;
    Ok((slot, key.generate.as_deref().map(str::parse).transpose()?))
}

/// A new key in an empty slot, with the PIN verified; made with the management key that was given, that the PIN
/// protects, or that cards come with.
fn generated(
    piv: &mut Piv<'_>,
    slot: Slot,
    algorithm: Algorithm,
    management_key: Option<&ManagementKey>,
) -> Result<SlotKey, TokenError> {
    let stored;
    let management_key = if let Some(given) = management_key {
        given
    } else {
        stored = piv.protected_management_key()?.unwrap_or_else(|| ManagementKey::copy_from(&FACTORY));
        &stored
    };
    piv.authenticate_management(management_key)?;
    let yubikey = piv.version()?.is_some();
    let policies = yubikey.then_some(Policies { pin: PinPolicy::Once, touch: TouchPolicy::Always });
    let public = piv.generate(slot, algorithm, policies, false)?;
    piv.put_certificate(slot, &public.certificate()?)?;
    let (pin_policy, touch_policy) = (policies.map(|p| p.pin), policies.map(|p| p.touch));
    Ok(SlotKey { public, pin_policy, touch_policy, generated: Some(true) })
}

/// A card that does not tell its policy is asked for what it must refuse.
fn refuses_without_pin(
    piv: &mut Piv<'_>,
    slot: Slot,
    key: &PublicKey,
    capsule: &[u8],
) -> Result<(), TokenError> {
    match piv.open_sealed(slot, key.algorithm(), capsule, LABELS[0]) {
        Err(PivError::NotVerified) => Ok(()),
        Err(PivError::Channel(error)) => Err(error.into()),
        Ok(_) | Err(_) => Err(TokenError::Unprotected),
    }
}

/// Certificates by which a YubiKey says that the key was made in it; none from other cards, or for an imported key. One
/// that contradicts the card is no evidence but a warning.
fn evidence(piv: &mut Piv<'_>, slot: Slot, key: &PublicKey, said: &Said) -> Result<Vec<Vec<u8>>, TokenError> {
    match (piv.attestation(slot), piv.attester()) {
        (Ok(statement), Ok(attester)) => {
            Attestation::verify(&statement, &attester)?.agrees(key, said)?;
            Ok(vec![statement, attester])
        }
        (Err(PivError::Unsupported(_)), _) | (_, Err(PivError::Unsupported(_))) => Ok(Vec::new()),
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    }
}
