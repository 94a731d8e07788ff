//! ATTEST, Yubico's instruction F9: a certificate that says that a key was made on this card, and its policies.
//! The key that signs it is made once for each card, and so is its certificate, which nobody should trust.

use p256::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey, signature::Signer as _},
};
use piv_authenticator::Client;
use rand_core::{OsRng, RngCore as _};

use super::{POINT, Piv, record::Key};
use crate::{
    attestation::random_key,
    card::{
        Identity,
        apdu::{Answer, Status},
        tlv::{element, find},
    },
    der::{
        BASIC_CONSTRAINTS, BIT_STRING, BOOLEAN, EC_PUBLIC_KEY, ECDSA_WITH_SHA256, EXTENSIONS,
        GENERALIZED_TIME, INTEGER, NULL, OCTET_STRING, OID, PRIME256V1, RSA_ENCRYPTION, SECP384R1, SEQUENCE,
        SET, UTC_TIME, UTF8_STRING, VERSION, der,
    },
};

const AUTHORITY: &str = "rootseal virtual token PIV attestation";
/// A keychain with a USB-A plug.
const FORM_FACTOR: u8 = 1;

const P256: u8 = 0x11;
const P384: u8 = 0x14;

impl<T: Client> Piv<'_, T> {
    /// The certificate of the key in a slot.
    pub(super) fn attest(&mut self, slot: u8) -> Answer {
        let authority = self.authority()?;
        let record = self.record()?;
        let key = record.keys.get(&slot).ok_or(Status::REFERENCE)?;
        let subject = format!("YubiKey PIV Attestation {slot:02x}");
        let public = public_key(key.algorithm, &key.public)?;
        Ok(certificate(&authority, &subject, &public, &statements(self.identity, key)))
    }

    /// The data object with the certificate of the key that attests.
    pub(super) fn attestation_object(&mut self) -> Answer {
        let authority = self.authority()?;
        let point = element(POINT, &authority.public_key().to_sec1_bytes());
        let is_ca = extension(BASIC_CONSTRAINTS, &der(SEQUENCE, &[&der(BOOLEAN, &[&[0xFF]])]));
        let certificate = certificate(&authority, AUTHORITY, &public_key(P256, &point)?, &is_ca);
        Ok(element(0x53, &[element(0x70, &certificate), element(0x71, &[0])].concat()))
    }

    fn authority(&self) -> Result<SecretKey, Status> {
        let mut record = self.record()?;
        if let Some(key) = &record.attestation {
            return SecretKey::from_slice(key).map_err(|_damaged| Status::MEMORY);
        }
        let key = random_key();
        record.attestation = Some(key.to_bytes().to_vec());
        self.shelf.save(&record)?;
        Ok(key)
    }
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&der(OID, &[oid]), &der(OCTET_STRING, &[value])])
}

/// Firmware, serial number, policies and form factor (1.3.6.1.4.1.41482.3.3, .7, .8 and .9).
fn statements(identity: Identity, key: &Key) -> Vec<u8> {
    let yubico = |last: u8, value: &[u8]| {
        extension(&[0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0xC4, 0x0A, 0x03, last], value)
    };
    [
        yubico(3, &identity.version),
        yubico(7, &unsigned(&identity.serial.to_be_bytes())),
        yubico(8, &[key.pin as u8, key.touch as u8]),
        yubico(9, &[FORM_FACTOR]),
    ]
    .concat()
}

/// A positive number: without needless zeros in front, and with one where the first bit would be a sign.
fn unsigned(digits: &[u8]) -> Vec<u8> {
    let start = digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len());
    let digits = digits.get(start..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    der(INTEGER, &[sign, digits])
}

/// `SubjectPublicKeyInfo` (RFC 5280, section 4.1) of what GENERATE answered.
fn public_key(algorithm: u8, public: &[u8]) -> Answer {
    let (name, key) = match algorithm {
        P256 | P384 => {
            let curve = if algorithm == P256 { PRIME256V1 } else { SECP384R1 };
            let name = der(SEQUENCE, &[&der(OID, &[EC_PUBLIC_KEY]), &der(OID, &[curve])]);
            (name, find(public, POINT).ok_or(Status::MEMORY)?.to_vec())
        }
        _ => {
            let name = der(SEQUENCE, &[&der(OID, &[RSA_ENCRYPTION]), &der(NULL, &[])]);
            let number = |tag| find(public, tag).map(unsigned).ok_or(Status::MEMORY);
            (name, der(SEQUENCE, &[&number(0x81)?, &number(0x82)?]))
        }
    };
    Ok(der(SEQUENCE, &[&name, &der(BIT_STRING, &[&[0], &key])]))
}

fn certificate(authority: &SecretKey, subject: &str, public: &[u8], extensions: &[u8]) -> Vec<u8> {
    let name = |common_name: &str| {
        let value = der(UTF8_STRING, &[common_name.as_bytes()]);
        der(SEQUENCE, &[&der(SET, &[&der(SEQUENCE, &[&der(OID, &[&[0x55, 0x04, 0x03]]), &value])])])
    };
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    serial[0] = serial[0] & 0x7F | 0x40;
    let algorithm = der(SEQUENCE, &[&der(OID, &[ECDSA_WITH_SHA256])]);
    let validity =
        der(SEQUENCE, &[&der(UTC_TIME, &[b"200101000000Z"]), &der(GENERALIZED_TIME, &[b"99991231235959Z"])]);
    let body = der(
        SEQUENCE,
        &[
            &der(VERSION, &[&der(INTEGER, &[&[2]])]),
            &der(INTEGER, &[&serial]),
            &algorithm,
            &name(AUTHORITY),
            &validity,
            &name(subject),
            public,
            &der(EXTENSIONS, &[&der(SEQUENCE, &[extensions])]),
        ],
    );
    let signature: DerSignature = SigningKey::from(authority).sign(&body);
    der(SEQUENCE, &[&body, &algorithm, &der(BIT_STRING, &[&[0], signature.as_bytes()])])
}
