//! Elliptic curve Diffie-Hellman (NIST SP 800-56A section 5.7.1.2) on the curves of PIV cards: P-256 and P-384.
//!
//! Points are uncompressed (SEC 1 section 2.3.3: `04`, x, y) and are used only after they were found on their curve.

use super::{CryptoError, random};
use crate::secret::TokenSecret;
use p256::elliptic_curve::sec1::ToSec1Point;
use zeroize::Zeroizing;

/// The curve of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// Bytes of a coordinate, and of a shared secret.
    pub const fn field(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// Whether `point` is a point of the curve, uncompressed, and not the point at infinity.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if not.
    pub fn check_point(self, point: &[u8]) -> Result<(), CryptoError> {
        self.check_form(point)?;
        let valid = match self {
            Self::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
            Self::P384 => p384::PublicKey::from_sec1_bytes(point).is_ok(),
        };
        if valid { Ok(()) } else { Err(CryptoError::Malformed) }
    }

    /// Whether some point of the curve has this x coordinate.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if none has.
    pub fn check_x(self, x: &[u8]) -> Result<(), CryptoError> {
        if x.len() != self.field() {
            return Err(CryptoError::Malformed);
        }
        // SEC 1 section 2.3.3: 02 and x are the point with the even y.
        let mut compressed = Zeroizing::new(Vec::with_capacity(self.field().saturating_add(1)));
        compressed.push(0x02);
        compressed.extend_from_slice(x);
        let valid = match self {
            Self::P256 => p256::PublicKey::from_sec1_bytes(&compressed).is_ok(),
            Self::P384 => p384::PublicKey::from_sec1_bytes(&compressed).is_ok(),
        };
        if valid { Ok(()) } else { Err(CryptoError::Malformed) }
    }

    fn check_form(self, point: &[u8]) -> Result<(), CryptoError> {
        match point.split_first() {
            Some((0x04, both)) if both.len() == self.field().saturating_mul(2) => Ok(()),
            _ => Err(CryptoError::Malformed),
        }
    }
}

/// A private key of ours.
pub struct PrivateKey(Private);

enum Private {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
}

impl PrivateKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn random(curve: Curve) -> Result<Self, CryptoError> {
        let mut scalar = Zeroizing::new(vec![0; curve.field()]);
        // One draw in 2^32 is zero or too large for P-256; several in a row are a broken source.
        for _ in 0..4 {
            random::fill(&mut scalar)?;
            if let Ok(key) = Self::from_bytes(curve, &scalar) {
                return Ok(key);
            }
        }
        Err(CryptoError::NoRandomness)
    }

    /// The key with this scalar, big-endian.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] for another length, zero, or a number not below the group's order.
    pub fn from_bytes(curve: Curve, scalar: &[u8]) -> Result<Self, CryptoError> {
        if scalar.len() != curve.field() {
            return Err(CryptoError::Malformed);
        }
        let key = match curve {
            Curve::P256 => p256::SecretKey::from_slice(scalar).map(Private::P256),
            Curve::P384 => p384::SecretKey::from_slice(scalar).map(Private::P384),
        };
        key.map(Self).map_err(|_opaque| CryptoError::Malformed)
    }

    /// The public half, uncompressed.
    pub fn public(&self) -> Vec<u8> {
        match &self.0 {
            Private::P256(key) => key.public_key().to_sec1_point(false).as_bytes().to_vec(),
            Private::P384(key) => key.public_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// The x coordinate of the point shared with the holder of `peer`'s private half.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if `peer` is no point of the curve.
    pub fn agree(&self, peer: &[u8]) -> Result<TokenSecret, CryptoError> {
        match &self.0 {
            Private::P256(key) => {
                Curve::P256.check_form(peer)?;
                let peer =
                    p256::PublicKey::from_sec1_bytes(peer).map_err(|_opaque| CryptoError::Malformed)?;
                Ok(TokenSecret::copy_from(key.diffie_hellman(&peer).raw_secret_bytes()))
            }
            Private::P384(key) => {
                Curve::P384.check_form(peer)?;
                let peer =
                    p384::PublicKey::from_sec1_bytes(peer).map_err(|_opaque| CryptoError::Malformed)?;
                Ok(TokenSecret::copy_from(key.diffie_hellman(&peer).raw_secret_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_and_the_secret_is_a_coordinate() {
        for curve in [Curve::P256, Curve::P384] {
            let (ours, theirs) = (PrivateKey::random(curve).unwrap(), PrivateKey::random(curve).unwrap());
            let secret = ours.agree(&theirs.public()).unwrap().with(<[u8]>::to_vec);
            assert_eq!(secret, theirs.agree(&ours.public()).unwrap().with(<[u8]>::to_vec));
            assert_eq!(curve.check_x(&secret), Ok(()));
            assert_eq!((secret.len(), ours.public().len()), (curve.field(), 2 * curve.field() + 1));
            assert_eq!(curve.check_point(&ours.public()), Ok(()));
        }
    }

    #[test]
    fn points_off_the_curve_and_odd_forms_are_refused() {
        for curve in [Curve::P256, Curve::P384] {
            let ours = PrivateKey::random(curve).unwrap();
            let good = ours.public();
            let mut off = good.clone();
            *off.last_mut().unwrap() ^= 1;
            let mut hybrid = good.clone();
            hybrid[0] = 0x06;
            let compressed = [&[0x02], &good[1..=curve.field()]].concat();
            for bad in
                [off, hybrid, compressed, vec![0], vec![], good[1..].to_vec(), [&good[..], &[0]].concat()]
            {
                assert_eq!(curve.check_point(&bad), Err(CryptoError::Malformed));
                assert_eq!(ours.agree(&bad).err(), Some(CryptoError::Malformed));
            }
            // Half of all numbers are no coordinate of a point; the largest is not even in the field.
            assert_eq!(curve.check_x(&vec![0xff; curve.field()]), Err(CryptoError::Malformed));
            assert_eq!(curve.check_x(&good[1..curve.field()]), Err(CryptoError::Malformed));
            assert_eq!(curve.check_x(&good[1..=curve.field()]), Ok(()));
        }
    }
}
