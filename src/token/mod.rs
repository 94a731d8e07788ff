//! Security tokens as the service sees them: find the one that is enrolled, verify a PIN, derive the secrets of a
//! keyslot. Each kind is one file and one line in [`registry`]; each connected token has a thread of its own
//! ([`worker`]), so that one that hangs holds nobody else up. No vault and no bus enters this room.

pub mod arrivals;
mod cards;
mod codes;
mod error;
mod fido;
mod oath;
mod otp_hmac;
mod piv;
pub mod prompter;
pub mod recovery;
pub mod registry;
pub mod trouble;
pub mod worker;

pub use crate::piv::{OathAccount, OathKind, OathName, Roots};
pub use codes::{Access, CodeToken, Contents, NewSeed};
pub use error::TokenError;

use crate::channel::Patience;
use crate::secret::{ManagementKey, Pin, TokenSecret};

/// What a connected token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Whether a PIN is set, which then has to be verified.
    pub needs_pin: bool,
    /// When it wants to be touched.
    pub touch: Touch,
    /// Its serial number, where the token tells one and its device did not.
    pub serial: Option<String>,
}

/// When a token wants to be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// For each use.
    Always,
    /// For each use, but not shortly after the last touch.
    Cached,
    /// Never.
    Never,
    /// It does not say; perhaps each of its keys is another case.
    Unknown,
}

impl Touch {
    /// What listings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Cached => "cached",
            Self::Never => "never",
            Self::Unknown => "unknown",
        }
    }
}

/// How the key of a new keyslot is to be made, for tokens that leave a choice.
#[derive(Default)]
pub struct NewKey {
    /// PIV: the slot, two hexadecimal digits; 9d where it is not said.
    pub slot: Option<String>,
    /// PIV: the algorithm of a key to be made; the key that is there where it is not said.
    pub generate: Option<String>,
    /// PIV: what allows making one; where it is not given, the one that the PIN protects, or that cards come with.
    pub management_key: Option<ManagementKey>,
}

impl NewKey {
    /// Whether nothing is chosen, as it must be for tokens that leave no choice.
    pub const fn is_plain(&self) -> bool {
        self.slot.is_none() && self.generate.is_none() && self.management_key.is_none()
    }
}

/// What using a keyslot's key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The PIN.
    pub pin: bool,
    /// A touch.
    pub touch: bool,
}

/// What kind of token something is; in the order in which a new keyslot prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// FIDO2 with `hmac-secret`.
    Fido,
    /// A PIV card (NIST SP 800-73).
    Piv,
    /// HMAC-SHA1 challenge-response of a YubiKey.
    OtpHmac,
    /// The OATH application of a YubiKey: one-time codes. It opens no vault.
    Oath,
}

impl Kind {
    /// What listings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fido => "fido",
            Self::Piv => "piv",
            Self::OtpHmac => "otp_hmac",
            Self::Oath => "oath",
        }
    }

    /// What its keyslots are called (`docs/vault-format.md`, "Kinds of keyslot"), of what can be one.
    pub const fn keyslot(self) -> Option<&'static str> {
        match self {
            Self::Fido => Some("fido2"),
            Self::Piv => Some("piv"),
            Self::OtpHmac => Some("otp_hmac"),
            Self::Oath => None,
        }
    }

    /// Whether its keyslots open the guard lock, too. What asks for no PIN does not.
    pub const fn opens_guard(self) -> bool {
        match self {
            Self::Fido | Self::Piv => true,
            Self::OtpHmac | Self::Oath => false,
        }
    }
}

/// Which secrets of a keyslot are wanted. A mere unlock must not learn the guard lock's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The unlock lock's.
    pub unlock: bool,
    /// The guard lock's.
    pub guard: bool,
}

/// The secrets that were wanted.
pub struct Derived {
    /// The unlock lock's, if it was wanted.
    pub unlock: Option<TokenSecret>,
    /// The guard lock's, if it was wanted.
    pub guard: Option<TokenSecret>,
}

/// What a verified PIN is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPurpose {
    /// [`Token::create`]
    Create,
    /// [`Token::derive`]
    Derive,
}

/// One application of a connected token, whatever it is for. All calls block, and are made on a thread of its own.
pub trait Device: Send {
    /// Connects if need be and reads what the token says of itself.
    ///
    /// # Errors
    /// The token is gone or speaks nonsense.
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError>;

    /// Forgets a verified PIN and lets go of the device, for other programs.
    fn release(&mut self);
}

/// A token that can be a keyslot.
pub trait Token: Device {
    /// Which of `bindings` is this token's, found without asking for a touch or a PIN.
    ///
    /// # Errors
    /// As [`Device::traits`].
    fn find(&mut self, bindings: &[Vec<u8>], patience: &Patience) -> Result<Option<usize>, TokenError>;

    /// How many wrong PINs the token takes until it blocks.
    ///
    /// # Errors
    /// As [`Device::traits`].
    fn tries_left(&mut self, patience: &Patience) -> Result<u32, TokenError>;

    /// Verifies the PIN for the next [`Self::create`] or [`Self::derive`]. A wrong PIN costs a try.
    ///
    /// # Errors
    /// [`TokenError::PinInvalid`], [`TokenError::PinBlocked`] and as [`Device::traits`].
    fn verify_pin(&mut self, pin: &Pin, purpose: PinPurpose, patience: &Patience) -> Result<(), TokenError>;

    /// Makes a key for a new keyslot and returns its binding: all that is needed to find and ask this token
    /// again. May ask for a touch; `blinks` is called when the token waits for one.
    ///
    /// # Errors
    /// [`TokenError::NoChoice`] and what `key` asks for in vain; as [`Self::verify_pin`].
    fn create(
        &mut self,
        key: &NewKey,
        patience: &Patience,
        blinks: &mut dyn FnMut(),
    ) -> Result<Vec<u8>, TokenError>;

    /// Derives the secrets of a keyslot. May ask for a touch, as [`Self::create`] does.
    ///
    /// # Errors
    /// [`TokenError::NotEnrolled`] when the binding is not this token's, and as [`Self::verify_pin`].
    fn derive(
        &mut self,
        binding: &[u8],
        wanted: Wanted,
        patience: &Patience,
        blinks: &mut dyn FnMut(),
    ) -> Result<Derived, TokenError>;
}

/// What it takes to use the key behind a binding.
///
/// # Errors
/// [`TokenError::Binding`]: it is no binding of this kind.
pub fn needs(kind: Kind, binding: &[u8]) -> Result<Needs, TokenError> {
    Ok(match kind {
        Kind::Fido => Needs { pin: fido::Binding::decode(binding)?.user_verified, touch: true },
        Kind::Piv => {
            let binding = piv::Binding::decode(binding)?;
            Needs { pin: binding.pin, touch: binding.touch }
        }
        Kind::OtpHmac => Needs { pin: false, touch: otp_hmac::Binding::decode(binding)?.touch },
        Kind::Oath => return Err(TokenError::Binding),
    })
}

/// Whether a kind of token leaves the choices of `key` at all: to be asked before a person is.
///
/// # Errors
/// [`TokenError::NoChoice`], [`TokenError::UnsuitableCard`].
pub fn choices(kind: Kind, key: &NewKey) -> Result<(), TokenError> {
    match kind {
        Kind::Fido if key.is_plain() => Ok(()),
        Kind::Fido | Kind::Oath => Err(TokenError::NoChoice),
        Kind::Piv => piv::choices(key).map(drop),
        Kind::OtpHmac => otp_hmac::choice(key).map(drop),
    }
}

/// How far it is proved that a keyslot's key was made in its token, and has never been anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attested {
    /// Not at all: the token says nothing of it.
    No,
    /// The token says so, in itself without contradiction; whether it is one of those that can be believed, nobody
    /// knows.
    Itself,
    /// Somebody who is trusted vouches for the token.
    Rooted,
}

impl Attested {
    /// What listings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "none",
            Self::Itself => "self",
            Self::Rooted => "rooted",
        }
    }
}

/// How far the evidence in a keyslot goes. `kind` is the keyslot's ([`Kind::keyslot`]).
pub fn attested(kind: &str, binding: &[u8], roots: &Roots) -> Attested {
    if Some(kind) != Kind::Piv.keyslot() {
        return Attested::No;
    }
    piv::Binding::decode(binding).map_or(Attested::No, |binding| binding.attested(roots))
}

/// The value, or null. The outer `None`: neither.
#[expect(clippy::option_option, reason = "null is an answer, nonsense is none")]
fn optional<T>(
    from: &mut minicbor::Decoder<'_>,
    read: impl FnOnce(&mut minicbor::Decoder<'_>) -> Option<T>,
) -> Option<Option<T>> {
    if from.datatype().ok()? == minicbor::data::Type::Null {
        from.null().ok()?;
        return Some(None);
    }
    read(from).map(Some)
}
