//! Verifying ECDSA over P-256 with SHA-256 (FIPS 186-5 section 6.4.2): what COSE calls ES256.

use super::CryptoError;
use super::hash::sha256;
use super::random;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Length of a public key: `04 | x | y` (SEC 1 section 2.3.3, without compression).
pub const PUBLIC_KEY: usize = 65;

/// A point on the curve, and not at infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    point: [u8; PUBLIC_KEY],
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads a key in its one form.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`]: another form, or no point of the curve.
    pub fn from_bytes(point: &[u8; PUBLIC_KEY]) -> Result<Self, CryptoError> {
        let key = VerifyingKey::from_sec1_bytes(point).or(Err(CryptoError::Malformed))?;
        Ok(Self { point: *point, key })
    }

    /// The key, in its one form.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY] {
        &self.point
    }

    /// Whether `signature`, in DER (RFC 3279 section 2.2.3), is this key's over the concatenation of `parts`.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        Signature::from_der(signature)
            .is_ok_and(|signature| self.key.verify_prehash(&sha256(parts), &signature).is_ok())
    }
}

/// A signature, DER, by a new key that nobody keeps: for where there must be one, and none could vouch for anything.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn sign_once(message: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut scalar = Zeroizing::new([0; 32]);
    let key = loop {
        random::fill(scalar.as_mut_slice())?;
        // Refused once in 2^32 draws: zero, or not below the order of the curve.
        if let Ok(key) = SigningKey::from_slice(scalar.as_slice()) {
            break key;
        }
    };
    let signature: Signature =
        key.sign_prehash(&sha256(&[message])).map_err(|_opaque| CryptoError::Malformed)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = text.as_bytes().as_chunks().0.iter().map(byte).collect();
        bytes.try_into().unwrap()
    }

    /// RFC 6979 section A.2.5.
    fn key() -> PublicKey {
        let point = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                     7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
        PublicKey::from_bytes(&unhex(point)).unwrap()
    }

    /// The same section: SHA-256, message "sample".
    fn signature() -> [u8; 72] {
        unhex(
            "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        )
    }

    #[test]
    fn rfc_6979_sample() {
        assert!(key().verifies(&[b"sam", b"", b"ple"], &signature()));
        assert!(!key().verifies(&[b"simple"], &signature()));
    }

    #[test]
    fn a_signature_changed_or_cut_or_longer_is_none() {
        for at in 0..72 {
            let mut changed = signature();
            changed[at] ^= 1;
            assert!(!key().verifies(&[b"sample"], &changed), "byte {at}");
            assert!(!key().verifies(&[b"sample"], &signature()[..at]), "{at} bytes");
        }
        assert!(!key().verifies(&[b"sample"], &[&signature()[..], &[0]].concat()));
        let zeros = [0x30, 6, 2, 1, 0, 2, 1, 0];
        assert!(!key().verifies(&[b"sample"], &zeros));
    }

    #[test]
    fn a_signature_by_a_forgotten_key_is_one_all_the_same() {
        let (first, second) = (sign_once(b"sample").unwrap(), sign_once(b"sample").unwrap());
        assert_ne!(first, second);
        for signature in [first, second] {
            assert!(Signature::from_der(&signature).is_ok());
            assert!(!key().verifies(&[b"sample"], &signature));
        }
    }

    #[test]
    fn a_key_is_a_point_of_the_curve_in_one_form() {
        let good = *key().as_bytes();
        for at in [0, 1, 33, 64] {
            let mut changed = good;
            changed[at] ^= 1;
            assert_eq!(PublicKey::from_bytes(&changed), Err(CryptoError::Malformed), "byte {at}");
        }
        for form in [0x00, 0x02, 0x06] {
            let mut changed = good;
            changed[0] = form;
            assert_eq!(PublicKey::from_bytes(&changed), Err(CryptoError::Malformed), "form {form}");
        }
    }
}
