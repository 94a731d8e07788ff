//! A certificate for a new key, so that other programs see that the slot is in use, and this one, on a card that tells
//! of its keys in no other way. Its signature is by a key that is forgotten at once: it vouches for nothing.

use super::key::{EC_PUBLIC_KEY, PublicKey, RSA_ENCRYPTION};
use super::{PivError, tlv};
use crate::crypto::{ecdsa, random};

// DER's tags, beside those that cards use as well.
const INTEGER: u16 = 0x02;
const BIT_STRING: u16 = 0x03;
const NULL: u16 = 0x05;
const OID: u16 = 0x06;
const UTF8_STRING: u16 = 0x0c;
const UTC_TIME: u16 = 0x17;
const GENERALIZED_TIME: u16 = 0x18;
const SEQUENCE: u16 = 0x30;
const SET: u16 = 0x31;

/// RFC 5758 section 3.2: ecdsa-with-SHA256.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// X.520: commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const EXPONENT: &[u8] = &[1, 0, 1];

impl PublicKey {
    /// An X.509 certificate (version 1) of this key, DER.
    ///
    /// # Errors
    /// [`PivError::Random`].
    pub fn certificate(&self) -> Result<Vec<u8>, PivError> {
        let mut serial: [u8; 16] = random::public().map_err(|_none| PivError::Random)?;
        // Positive, and without needless zeros.
        serial[0] = serial[0] & 0x7f | 0x40;
        let algorithm = tlv::build(SEQUENCE, &[&tlv::build(OID, &[ECDSA_WITH_SHA256])?])?;
        let name = name("rootseal")?;
        // RFC 5280 section 4.1.2.5: no end that anybody knows.
        let dates = [
            tlv::build(UTC_TIME, &[b"200101000000Z"])?,
            tlv::build(GENERALIZED_TIME, &[b"99991231235959Z"])?,
        ];
        let validity = tlv::build(SEQUENCE, &[&dates[0], &dates[1]])?;
        let serial = tlv::build(INTEGER, &[&serial])?;
        let info = self.info()?;
        let parts = [&serial, &algorithm, &name, &validity, &name, &info].map(Vec::as_slice);
        let to_be_signed = tlv::build(SEQUENCE, &parts)?;
        let signature = ecdsa::sign_once(&to_be_signed).map_err(|_none| PivError::Random)?;
        let signature = tlv::build(BIT_STRING, &[&[0], &signature])?;
        tlv::build(SEQUENCE, &[&to_be_signed, &algorithm, &signature])
    }

    /// `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    fn info(&self) -> Result<Vec<u8>, PivError> {
        let (algorithm, parameters, key) = if let Some(curve) = self.algorithm().curve() {
            (EC_PUBLIC_KEY, tlv::build(OID, &[super::key::curve_oid(curve)])?, self.bytes().to_vec())
        } else {
            // The highest bit is set: without a zero in front it would be a negative number.
            let numbers = [tlv::build(INTEGER, &[&[0], self.bytes()])?, tlv::build(INTEGER, &[EXPONENT])?];
            (RSA_ENCRYPTION, tlv::build(NULL, &[])?, tlv::build(SEQUENCE, &[&numbers[0], &numbers[1]])?)
        };
        let algorithm = tlv::build(SEQUENCE, &[&tlv::build(OID, &[algorithm])?, &parameters])?;
        tlv::build(SEQUENCE, &[&algorithm, &tlv::build(BIT_STRING, &[&[0], &key])?])
    }
}

fn name(common_name: &str) -> Result<Vec<u8>, PivError> {
    let parts = [tlv::build(OID, &[COMMON_NAME])?, tlv::build(UTF8_STRING, &[common_name.as_bytes()])?];
    tlv::build(SEQUENCE, &[&tlv::build(SET, &[&tlv::build(SEQUENCE, &[&parts[0], &parts[1]])?])?])
}

#[cfg(test)]
mod tests {
    use super::super::Slot;
    use super::super::tests::{P256_POINT, unhex};
    use super::*;
    use crate::crypto::ecdh::{Curve, PrivateKey};
    use x509_cert::der::{Decode as _, Encode as _};

    #[test]
    fn every_kind_of_key_has_a_certificate_that_anybody_can_read() {
        let p384 = PrivateKey::random(Curve::P384).unwrap().public();
        for key in [
            PublicKey::ec(Curve::P256, &unhex(P256_POINT)).unwrap(),
            PublicKey::ec(Curve::P384, &p384).unwrap(),
            PublicKey::rsa(&[0xff; 256], EXPONENT).unwrap(),
            PublicKey::rsa(&[0xff; 384], EXPONENT).unwrap(),
            PublicKey::rsa(&[0xff; 512], EXPONENT).unwrap(),
        ] {
            let der = key.certificate().unwrap();
            assert_eq!(PublicKey::from_certificate(&der, Slot::KEY_MANAGEMENT).as_ref(), Ok(&key));
            let strict = x509_cert::Certificate::from_der(&der).unwrap();
            assert_eq!(strict.to_der().unwrap(), der);
            assert_ne!(key.certificate().unwrap(), der);
        }
    }
}
