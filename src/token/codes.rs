//! What a token does that makes one-time codes from seeds of its own. It is no keyslot: it opens no lock.

use super::{Device, TokenError};
use crate::channel::Patience;
use crate::piv::{OathAccount, OathName};
use crate::secret::{OathAccessKey, OtpCode, Pin, TotpSeed};
use std::sync::Arc;

/// The accounts of one token. Each call is one transaction, in which the token is held for nobody else.
pub trait CodeToken: Device {
    /// What its OATH application calls itself: random, another after each reset of it.
    ///
    /// # Errors
    /// As [`Device::traits`].
    fn device_id(&mut self, patience: &Patience) -> Result<Vec<u8>, TokenError>;

    /// Opens it with the password, where it has one. The token has to know the password as well, and to be the one
    /// that is meant ([`Self::device_id`]): another one in its place is not even asked.
    ///
    /// # Errors
    /// [`TokenError::Another`], [`TokenError::PasswordNeeded`], [`TokenError::PasswordInvalid`], and as
    /// [`Device::traits`].
    fn open(
        &mut self,
        device: &[u8],
        password: Option<&Pin>,
        patience: &Patience,
    ) -> Result<Access, TokenError>;

    /// What is on it.
    ///
    /// # Errors
    /// [`TokenError::Another`], and as [`Self::open`]. The same holds for all that follow.
    fn contents(&mut self, access: &Access, patience: &Patience) -> Result<Contents, TokenError>;

    /// The code of an account for a step (Unix time by the account's period). May wait for a touch.
    ///
    /// # Errors
    /// [`TokenError::NoAccount`], [`TokenError::TimedOut`].
    fn code(
        &mut self,
        access: &Access,
        name: &OathName,
        step: u64,
        patience: &Patience,
    ) -> Result<OtpCode, TokenError>;

    /// Puts a seed on it.
    ///
    /// # Errors
    /// [`TokenError::AccountTaken`], [`TokenError::Full`], [`TokenError::Card`] for what it cannot hold.
    fn put(&mut self, access: &Access, new: &NewSeed, patience: &Patience) -> Result<(), TokenError>;

    /// Renames an account.
    ///
    /// # Errors
    /// [`TokenError::NoAccount`], [`TokenError::AccountTaken`].
    fn rename(
        &mut self,
        access: &Access,
        from: &OathName,
        to: &OathName,
        patience: &Patience,
    ) -> Result<(), TokenError>;

    /// Removes an account and its seed.
    ///
    /// # Errors
    /// [`TokenError::NoAccount`].
    fn remove(&mut self, access: &Access, name: &OathName, patience: &Patience) -> Result<(), TokenError>;

    /// Sets the password, or takes it away.
    ///
    /// # Errors
    /// As [`Self::contents`].
    fn set_password(
        &mut self,
        access: &Access,
        password: Option<&Pin>,
        patience: &Patience,
    ) -> Result<(), TokenError>;
}

/// Which OATH application is meant, and what opens it: another token in the same reader is refused.
pub struct Access {
    /// [`CodeToken::device_id`]
    pub device: Vec<u8>,
    /// None: it has no password.
    pub(super) key: Option<OathAccessKey>,
}

/// What is on a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Whether an account can be made to want a touch.
    pub can_touch: bool,
    /// Its accounts; the names are the token's own words.
    pub accounts: Vec<OathAccount>,
}

/// A seed to be put on a token.
pub struct NewSeed {
    /// The account's name.
    pub name: OathName,
    /// The seed.
    pub seed: Arc<TotpSeed>,
    /// The hash: `SHA1`, `SHA256`, `SHA512`.
    pub algorithm: String,
    /// Digits of a code, 6 to 8.
    pub digits: u8,
    /// Whether each code is to want a touch.
    pub touch: bool,
}
