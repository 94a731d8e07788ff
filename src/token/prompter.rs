//! The one seam to the people: who asks, what for, and how a PIN comes back. The bus implements it for one
//! caller; the service never knows which surface the text appears on.

use super::recovery::Misread;
use crate::secret::{Pin, RecoveryCode};
use std::convert::Infallible;
use std::future::Future;

/// An answer that somebody still has to give.
pub type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nobody to show the prompt to.
    NoSurface,
    /// Somebody said no.
    Refused,
}

/// What a prompt says, whatever its kind.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The token's id.
    pub token: String,
    /// The token's name for people.
    pub label: String,
    /// What the token is to be used for: who asks for what, of which account.
    pub text: String,
    /// Whether the token will wait for a touch.
    pub touch: bool,
    /// When asking ends, seconds since 1970-01-01 UTC.
    pub deadline: u64,
}

/// A way to the people who may answer for one caller.
pub trait Prompter: Send + Sync {
    /// Whether a prompt would be seen by anybody.
    fn available(&self) -> bool;

    /// Asks for a PIN. `tries` are left; `failed`: the PIN given before was wrong.
    fn pin(&self, ask: Ask, tries: u32, failed: bool) -> Answer<'_, Pin>;

    /// Asks for the password of a token's OATH accounts, which is not its PIN and has no limit of tries. `failed`: the
    /// one given before was wrong.
    fn password(&self, ask: Ask, failed: bool) -> Answer<'_, Pin>;

    /// Asks for a recovery code, in a token's place. `failed`: the one given before was wrong.
    fn recovery_code(&self, ask: Ask, failed: bool) -> Answer<'_, Result<RecoveryCode, Misread>>;

    /// Announces that the token will ask for a touch; answered when the text has been shown. It comes before the
    /// token is asked, so that nobody's finger can be faster than the reason.
    fn touch(&self, ask: Ask) -> Answer<'_, ()>;

    /// The token waits for the touch now.
    fn blinking(&self, ask: Ask) -> Answer<'_, ()>;

    /// Says what the caller is waiting for that no token and no person can hasten.
    fn waiting(&self, text: String, until: u64) -> Answer<'_, ()>;

    /// Waits until somebody says no to what is on show, which can be at any time until [`Self::done`].
    fn refused(&self) -> Answer<'_, Infallible>;

    /// The prompt is over.
    fn done(&self) -> Answer<'_, ()>;
}
