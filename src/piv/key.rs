//! Public keys, as cards and certificates give them. Each is valid by its type: a point is on its curve, a modulus
//! has a size that we use.

use super::slot::{Algorithm, Slot};
use super::{PivError, tlv};
use crate::crypto::ecdh::{Curve, PrivateKey};
use crate::crypto::{CryptoError, rsa};
use crate::secret::TokenSecret;

/// OIDs, as their DER values: RFC 5480 section 2.1.1, RFC 8017 appendix A.1.
pub(super) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
pub(super) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// DER's tags.
const INTEGER: u16 = 0x02;
const BIT_STRING: u16 = 0x03;
const OID: u16 = 0x06;
const SEQUENCE: u16 = 0x30;
const VERSION: u16 = 0xa0;

/// The name of a curve.
pub(super) const fn curve_oid(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => SECP256R1,
        Curve::P384 => SECP384R1,
    }
}

/// The public half of a card's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Ec(Curve, Vec<u8>),
    Rsa(rsa::PublicKey),
}

/// A secret that only the card can open again.
pub struct Sealed {
    /// What the card needs for it; no secret. An ephemeral point (uncompressed), or an RSA ciphertext.
    pub capsule: Vec<u8>,
    /// The secret.
    pub secret: TokenSecret,
}

impl PublicKey {
    /// A point on a curve, uncompressed.
    ///
    /// # Errors
    /// [`PivError::InvalidKey`] if it is not on it.
    pub fn ec(curve: Curve, point: &[u8]) -> Result<Self, PivError> {
        curve.check_point(point).map_err(|_malformed| PivError::InvalidKey)?;
        Ok(Self(Kind::Ec(curve, point.to_vec())))
    }

    /// An RSA key.
    ///
    /// # Errors
    /// [`PivError::InvalidKey`] for a size or an exponent that no PIV key has.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, PivError> {
        let key = rsa::PublicKey::new(modulus, exponent).map_err(|_malformed| PivError::InvalidKey)?;
        Ok(Self(Kind::Rsa(key)))
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::Ec(Curve::P256, _) => Algorithm::EccP256,
            Kind::Ec(Curve::P384, _) => Algorithm::EccP384,
            Kind::Rsa(key) => match key.size() {
                512 => Algorithm::Rsa4096,
                384 => Algorithm::Rsa3072,
                _ => Algorithm::Rsa2048,
            },
        }
    }

    /// The point (uncompressed) or the modulus (big-endian): with [`Self::algorithm`], all there is to the key.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Ec(_, point) => point,
            Kind::Rsa(key) => key.modulus(),
        }
    }

    /// The key of [`Self::algorithm`] and [`Self::bytes`], as they were written down.
    ///
    /// # Errors
    /// [`PivError::InvalidKey`].
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, PivError> {
        let key = match algorithm.curve() {
            Some(curve) => Self::ec(curve, bytes)?,
            None => Self::rsa(bytes, &[1, 0, 1])?,
        };
        if key.algorithm() == algorithm { Ok(key) } else { Err(PivError::InvalidKey) }
    }

    /// A new secret that the holder of the private key can have again: by ECDH with a fresh key of ours, or by
    /// RSAES-OAEP with `label`. On a curve, binding the secret to anything else is the caller's duty.
    ///
    /// # Errors
    /// [`PivError::Random`].
    pub fn seal(&self, label: &[u8]) -> Result<Sealed, PivError> {
        let sealed = match &self.0 {
            Kind::Ec(curve, point) => PrivateKey::random(*curve).and_then(|ours| {
                let secret = ours.agree(point)?;
                Ok(Sealed { capsule: ours.public(), secret })
            }),
            Kind::Rsa(key) => key.seal(label).map(|(capsule, secret)| Sealed { capsule, secret }),
        };
        sealed.map_err(|error| match error {
            CryptoError::NoRandomness => PivError::Random,
            CryptoError::NotAuthentic | CryptoError::Malformed => PivError::InvalidKey,
        })
    }

    /// The contents of a card's own form (SP 800-73-4 part 2 table 17): `86` a point, or `81` modulus, `82` exponent.
    pub(super) fn from_card(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, PivError> {
        let key = match algorithm.curve() {
            Some(curve) => Self::ec(curve, tlv::find(bytes, 0x86)?)?,
            None => Self::rsa(tlv::find(bytes, 0x81)?, tlv::find(bytes, 0x82)?)?,
        };
        if key.algorithm() == algorithm { Ok(key) } else { Err(PivError::InvalidKey) }
    }

    /// The key in an X.509 certificate (RFC 5280 section 4.1). Nothing else of it is looked at, its signature is not
    /// verified: whoever can write it could write another key's as well.
    pub(super) fn from_certificate(der: &[u8], slot: Slot) -> Result<Self, PivError> {
        let mut to_be_signed =
            tlv::Reader::new(tlv::Reader::new(tlv::only(der, SEQUENCE)?).expect(SEQUENCE)?);
        to_be_signed.optional(VERSION)?;
        to_be_signed.expect(INTEGER)?;
        // Algorithm, issuer, validity, subject.
        for _ in 0..4 {
            to_be_signed.expect(SEQUENCE)?;
        }
        Self::from_spki(to_be_signed.expect(SEQUENCE)?, slot)
    }

    /// The contents of a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    pub(super) fn from_spki(info: &[u8], slot: Slot) -> Result<Self, PivError> {
        let foreign = PivError::ForeignAlgorithm { slot: slot.number(), algorithm: 0 };
        let mut info = tlv::Reader::new(info);
        let mut algorithm = tlv::Reader::new(info.expect(SEQUENCE)?);
        let bits = info.expect(BIT_STRING)?;
        let Some((0, key)) = bits.split_first() else {
            return Err(PivError::Malformed("a public key of broken bits"));
        };
        match algorithm.expect(OID)? {
            EC_PUBLIC_KEY => match algorithm.expect(OID)? {
                SECP256R1 => Self::ec(Curve::P256, key),
                SECP384R1 => Self::ec(Curve::P384, key),
                _ => Err(foreign),
            },
            RSA_ENCRYPTION => {
                let mut numbers = tlv::Reader::new(tlv::only(key, SEQUENCE)?);
                let (modulus, exponent) = (numbers.expect(INTEGER)?, numbers.expect(INTEGER)?);
                Self::rsa(modulus, exponent)
            }
            _ => Err(foreign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{P256_CERTIFICATE, P256_POINT, unhex};
    use super::*;

    #[test]
    fn a_key_is_found_in_a_certificate() {
        let der = unhex(P256_CERTIFICATE);
        let key = PublicKey::from_certificate(&der, Slot::KEY_MANAGEMENT).unwrap();
        assert_eq!((key.algorithm(), key.bytes()), (Algorithm::EccP256, &unhex(P256_POINT)[..]));
        for cut in 0..der.len() {
            PublicKey::from_certificate(&der[..cut], Slot::KEY_MANAGEMENT).unwrap_err();
        }
        // No bit makes it panic, and none gives a key off its curve.
        for bit in 0..der.len() * 8 {
            let mut bad = der.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(key) = PublicKey::from_certificate(&bad, Slot::KEY_MANAGEMENT) {
                assert_eq!(key.bytes(), unhex(P256_POINT));
            }
        }
    }

    #[test]
    fn keys_of_another_kind_are_named_so() {
        // Ed25519 (RFC 8410): no parameters.
        let info = tlv::build(SEQUENCE, &[&tlv::build(OID, &[&[0x2b, 0x65, 0x70]]).unwrap()]).unwrap();
        let info = [info, tlv::build(BIT_STRING, &[&[0], &[7; 32]]).unwrap()].concat();
        let foreign = PivError::ForeignAlgorithm { slot: 0x82, algorithm: 0 };
        assert_eq!(PublicKey::from_spki(&info, Slot::new(0x82).unwrap()), Err(foreign));
    }

    #[test]
    fn a_key_is_written_down_and_read_again() {
        let point = PrivateKey::random(Curve::P384).unwrap().public();
        for key in [
            PublicKey::ec(Curve::P256, &unhex(P256_POINT)).unwrap(),
            PublicKey::ec(Curve::P384, &point).unwrap(),
            PublicKey::rsa(&[0xff; 256], &[1, 0, 1]).unwrap(),
            PublicKey::rsa(&[0xff; 384], &[1, 0, 1]).unwrap(),
            PublicKey::rsa(&[0xff; 512], &[1, 0, 1]).unwrap(),
        ] {
            assert_eq!(PublicKey::from_bytes(key.algorithm(), key.bytes()).as_ref(), Ok(&key));
            assert_ne!(key.seal(b"").unwrap().capsule, key.seal(b"").unwrap().capsule);
        }
        assert_eq!(PublicKey::from_bytes(Algorithm::Rsa3072, &[0xff; 256]), Err(PivError::InvalidKey));
        assert_eq!(PublicKey::from_bytes(Algorithm::EccP384, &unhex(P256_POINT)), Err(PivError::InvalidKey));
    }
}
