//! Random numbers of the kernel (`getrandom(2)`).

use super::CryptoError;
use crate::secret::{GuardKey, SlotKey, UnlockKey};

/// Fills `bytes`.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn fill(bytes: &mut [u8]) -> Result<(), CryptoError> {
    getrandom::fill(bytes).map_err(|_no_detail_helps| CryptoError::NoRandomness)
}

/// `N` random bytes that are no secret: an id, a salt.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn public<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A new unlock key.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn unlock_key() -> Result<UnlockKey, CryptoError> {
    UnlockKey::try_fill(32, fill)
}

/// A new guard key.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn guard_key() -> Result<GuardKey, CryptoError> {
    GuardKey::try_fill(32, fill)
}

/// A new private seed for a keyslot.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn slot_key() -> Result<SlotKey, CryptoError> {
    SlotKey::try_fill(32, fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(public::<32>().unwrap(), public::<32>().unwrap());
        let first = unlock_key().unwrap().with(<[u8]>::to_vec);
        assert!(first.len() == 32 && first != unlock_key().unwrap().with(<[u8]>::to_vec));
    }
}
