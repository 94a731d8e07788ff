//! The primitives that the vault and the tokens stand on, each named after the standard it follows.
//!
//! Keys and plaintexts go in and come out as types of [`crate::secret`] or are wiped on drop. No file
//! format, no protocol, no I/O but the kernel's random numbers.

pub mod aead;
pub mod ecdh;
pub mod ecdsa;
pub mod hash;
pub mod hpke;
pub mod kdf;
pub mod random;
pub mod rsa;
pub mod sharing;
pub mod signature;

/// Why a primitive refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The tag does not fit: another key, other associated data, or a changed ciphertext.
    #[error("the ciphertext is not authentic")]
    NotAuthentic,
    /// A key, ciphertext or message has a length, or an encoding, that the primitive does not have.
    #[error("a key or a message is malformed")]
    Malformed,
    /// The kernel gave no random numbers.
    #[error("the system gave no random numbers")]
    NoRandomness,
}
