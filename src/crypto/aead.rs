//! AES-256-GCM (NIST SP 800-38D) under keys that encrypt one message each.

use super::{CryptoError, kdf, random};
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

/// Bytes that sealing adds.
pub const TAG: usize = 16;

/// A key for exactly one message.
///
/// Sealing and opening consume it, so its nonce, twelve zero bytes, cannot meet the key a second time
/// (SP 800-38D section 8).
pub struct MessageKey(Zeroizing<[u8; 32]>);

impl MessageKey {
    /// HKDF (see [`kdf::derive`]); `salt` or `info` must be new for each message.
    pub fn derive(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Self {
        Self(kdf::derive(ikm, salt, info))
    }

    /// A random key.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn random() -> Result<Self, CryptoError> {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// Opens a key that [`Self::wrap`] sealed.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`]; [`CryptoError::Malformed`] if `wrapped` has not 48 bytes.
    pub fn unwrap(self, aad: &[u8], wrapped: &[u8]) -> Result<Self, CryptoError> {
        let mut key = Zeroizing::new([0; 32]);
        self.open_into(aad, wrapped, key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// Appends `key`, sealed under this one, to `out`: 48 bytes.
    ///
    /// # Errors
    /// None for a key of this size.
    pub fn wrap(self, aad: &[u8], key: &Self, out: &mut Vec<u8>) -> Result<(), CryptoError> {
        self.seal(aad, key.0.as_slice(), out)
    }

    /// Appends the ciphertext of `plaintext` and its tag to `out`.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if the message is longer than SP 800-38D allows (64 GiB).
    pub fn seal(self, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
        let start = out.len();
        // The whole room first: a vector that grows later would leave plaintext behind unwiped.
        out.reserve(plaintext.len().saturating_add(TAG));
        out.extend_from_slice(plaintext);
        let message = out.get_mut(start..).ok_or(CryptoError::Malformed)?;
        let tag = self
            .cipher()
            .encrypt_inout_detached(&[0; 12].into(), aad, InOutBuf::from(message))
            .map_err(|_opaque| CryptoError::Malformed)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens `sealed`.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`]; [`CryptoError::Malformed`] if `sealed` is shorter than a tag.
    pub fn open(self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let length = sealed.len().checked_sub(TAG).ok_or(CryptoError::Malformed)?;
        let mut plaintext = Zeroizing::new(vec![0; length]);
        self.open_into(aad, sealed, &mut plaintext)?;
        Ok(plaintext)
    }

    /// Opens `sealed` into `plaintext`, which must be 16 bytes shorter; wiped where that fails.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`]; [`CryptoError::Malformed`] if the lengths do not fit.
    pub fn open_into(self, aad: &[u8], sealed: &[u8], plaintext: &mut [u8]) -> Result<(), CryptoError> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(CryptoError::Malformed)?;
        let buffer = InOutBuf::new(ciphertext, plaintext).map_err(|_lengths| CryptoError::Malformed)?;
        // The tag is compared, in constant time, before anything is decrypted.
        self.cipher()
            .decrypt_inout_detached(&[0; 12].into(), aad, buffer, tag.into())
            .map_err(|_opaque| CryptoError::NotAuthentic)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::hex;

    fn sealed(key: [u8; 32], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        MessageKey(Zeroizing::new(key)).seal(aad, plaintext, &mut out).unwrap();
        out
    }

    /// Test cases 13 and 14 of "The Galois/Counter Mode of Operation" (`McGrew` and Viega), which SP 800-38D
    /// refers to: zero key, zero nonce, as ours is.
    #[test]
    fn gcm_specification_vectors() {
        assert_eq!(hex(&sealed([0; 32], b"", b"")), "530f8afbc74536b9a963b4f1c4cb738b");
        assert_eq!(
            hex(&sealed([0; 32], b"", &[0; 16])),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
        );
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let good = sealed([7; 32], b"aad", b"plaintext");
        let open = |aad: &[u8], sealed: &[u8]| MessageKey(Zeroizing::new([7; 32])).open(aad, sealed);
        assert_eq!(*open(b"aad", &good).unwrap(), b"plaintext");
        for position in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[position / 8] ^= 1 << (position % 8);
            assert_eq!(open(b"aad", &bad).unwrap_err(), CryptoError::NotAuthentic);
        }
        assert_eq!(open(b"aae", &good).unwrap_err(), CryptoError::NotAuthentic);
        assert_eq!(open(b"aad", &good[..15]).unwrap_err(), CryptoError::Malformed);
        assert_eq!(
            MessageKey(Zeroizing::new([8; 32])).open(b"aad", &good).unwrap_err(),
            CryptoError::NotAuthentic
        );
    }

    #[test]
    fn a_failed_opening_leaves_no_plaintext() {
        let mut bad = sealed([7; 32], b"", b"plaintext");
        bad[0] ^= 1;
        let mut plaintext = [0; 9];
        MessageKey(Zeroizing::new([7; 32])).open_into(b"", &bad, &mut plaintext).unwrap_err();
        assert_eq!(plaintext, [0; 9]);
    }

    #[test]
    fn a_wrapped_key_seals_what_the_key_opens() {
        let (key, mut wrapped, mut message) = (MessageKey::random().unwrap(), Vec::new(), Vec::new());
        MessageKey::derive(b"ikm", b"salt", &[b"info"]).wrap(b"aad", &key, &mut wrapped).unwrap();
        key.seal(b"", b"text", &mut message).unwrap();
        let key = MessageKey::derive(b"ikm", b"salt", &[b"in", b"fo"]).unwrap(b"aad", &wrapped).unwrap();
        assert_eq!((wrapped.len(), &**key.open(b"", &message).unwrap()), (48, b"text".as_slice()));
    }
}
