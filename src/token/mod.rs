//! Security tokens as the service sees them: find the one that is enrolled, verify a PIN, derive the secrets of a
//! keyslot. Each kind is one file and one line in [`registry`]; each connected token has a thread of its own
//! ([`worker`]), so that one that hangs holds nobody else up. No vault and no bus enters this room.

mod error;
mod fido;
pub mod prompter;
pub mod registry;
pub mod worker;

pub use error::TokenError;

use crate::channel::Patience;
use crate::secret::{Pin, TokenSecret};

/// What a connected token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Whether a PIN is set, which then has to be verified.
    pub needs_pin: bool,
}

/// What kind of token something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// FIDO2 with `hmac-secret`.
    Fido,
}

impl Kind {
    /// What listings call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fido => "fido",
        }
    }

    /// What its keyslots are called (`docs/vault-format.md`, "Kinds of keyslot"); none where it opens no vault.
    pub const fn keyslot(self) -> Option<&'static str> {
        match self {
            Self::Fido => Some("fido2"),
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

/// One connected token. All calls block, and are made on the token's own thread.
pub trait Token: Send {
    /// Connects if need be and reads what the token says of itself.
    ///
    /// # Errors
    /// The token is gone or speaks nonsense.
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError>;

    /// Which of `bindings` is this token's, found without asking for a touch or a PIN.
    ///
    /// # Errors
    /// As [`Self::traits`].
    fn find(&mut self, bindings: &[Vec<u8>], patience: &Patience) -> Result<Option<usize>, TokenError>;

    /// How many wrong PINs the token takes until it blocks.
    ///
    /// # Errors
    /// As [`Self::traits`].
    fn tries_left(&mut self, patience: &Patience) -> Result<u32, TokenError>;

    /// Verifies the PIN for the next [`Self::create`] or [`Self::derive`]. A wrong PIN costs a try.
    ///
    /// # Errors
    /// [`TokenError::PinInvalid`], [`TokenError::PinBlocked`] and as [`Self::traits`].
    fn verify_pin(&mut self, pin: &Pin, purpose: PinPurpose, patience: &Patience) -> Result<(), TokenError>;

    /// Makes a key for a new keyslot and returns its binding: all that is needed to find and ask this token
    /// again. Asks for a touch; `blinks` is called when the token says that it waits for one.
    ///
    /// # Errors
    /// As [`Self::verify_pin`].
    fn create(&mut self, patience: &Patience, blinks: &mut dyn FnMut()) -> Result<Vec<u8>, TokenError>;

    /// Derives the secrets of a keyslot. Asks for a touch, as [`Self::create`] does.
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

    /// Forgets a verified PIN and lets go of the device, for other programs.
    fn release(&mut self);
}

/// Whether the secrets behind a FIDO2 binding were made with the PIN verified.
///
/// # Errors
/// [`TokenError::Binding`]: it is no binding.
pub fn binding_needs_pin(binding: &[u8]) -> Result<bool, TokenError> {
    Ok(fido::Binding::decode(binding)?.user_verified)
}
