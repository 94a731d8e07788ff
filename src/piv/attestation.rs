//! A YubiKey's statement that a key was made in it: an X.509 certificate of the key, signed by the key in slot f9
//! (<https://developers.yubico.com/PIV/Introduction/PIV_attestation.html>).
//!
//! The two certificates are judged here, without the card. What is not judged: their dates, which the token copies
//! from one to the other, and whether somebody took them back.

use super::slot::Slot;
use super::{PinPolicy, PivError, PublicKey, TouchPolicy, Version, tlv};
use crate::crypto::signature::Scheme;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::oid::ObjectIdentifier as Oid;
use x509_cert::der::{Decode as _, Encode as _, Reader as _, SliceReader, asn1::Uint};
use x509_cert::ext::pkix::BasicConstraints;

const VERSION: Oid = Oid::new_unwrap("1.3.6.1.4.1.41482.3.3");
const SERIAL: Oid = Oid::new_unwrap("1.3.6.1.4.1.41482.3.7");
const POLICIES: Oid = Oid::new_unwrap("1.3.6.1.4.1.41482.3.8");

// Keys and signatures: RFC 5480 section 2.1.1, RFC 5758 section 3.2, RFC 8017 appendix A.2.4.
const EC: Oid = Oid::new_unwrap("1.2.840.10045.2.1");
const P256: Oid = Oid::new_unwrap("1.2.840.10045.3.1.7");
const P384: Oid = Oid::new_unwrap("1.3.132.0.34");
const RSA: Oid = Oid::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: Oid = Oid::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: Oid = Oid::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: Oid = Oid::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: Oid = Oid::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: Oid = Oid::new_unwrap("1.2.840.113549.1.1.13");

const UNREADABLE: PivError = PivError::Attestation("a certificate cannot be read");

/// A certificate, and the bytes that its signature is over.
#[derive(Clone, Debug)]
struct Certificate {
    /// Not RFC 5280's profile, which is stricter about serial numbers than the tokens that make them up.
    parsed: CertificateInner<Raw>,
    signed: Vec<u8>,
}

impl Certificate {
    fn from_der(der: &[u8]) -> Result<Self, PivError> {
        let signed = SliceReader::new(der).and_then(|mut reader| {
            reader.sequence(|content| {
                let signed = content.tlv_bytes()?.to_vec();
                while !content.is_finished() {
                    content.tlv_bytes()?;
                }
                Ok::<_, x509_cert::der::Error>(signed)
            })
        });
        let parsed = CertificateInner::from_der(der);
        parsed.and_then(|parsed| Ok(Self { parsed, signed: signed? })).map_err(|_malformed| UNREADABLE)
    }

    /// Whether `issuer` signed it, and is who it says it is from.
    fn is_from(&self, issuer: &Self) -> bool {
        let (ours, theirs) = (self.parsed.tbs_certificate(), issuer.parsed.tbs_certificate());
        let signature = self.parsed.signature().as_bytes();
        let key = theirs.subject_public_key_info().subject_public_key.as_bytes();
        ours.issuer() == theirs.subject()
            // RFC 5280 section 4.1.1.2: what is outside of the signature says the same as what is inside.
            && self.parsed.signature_algorithm() == ours.signature()
            && self
                .scheme(issuer)
                .zip(key.zip(signature))
                .is_some_and(|(scheme, (key, signature))| scheme.verifies(key, &self.signed, signature))
    }

    /// How its signature is made, if `issuer`'s key can make such.
    fn scheme(&self, issuer: &Self) -> Option<Scheme> {
        let key = &issuer.parsed.tbs_certificate().subject_public_key_info().algorithm;
        let curve = key.parameters.as_ref().and_then(|parameters| parameters.decode_as::<Oid>().ok());
        Some(match (self.parsed.signature_algorithm().oid, key.oid, curve) {
            (RSA_SHA256, RSA, _) => Scheme::RsaSha256,
            (RSA_SHA384, RSA, _) => Scheme::RsaSha384,
            (RSA_SHA512, RSA, _) => Scheme::RsaSha512,
            (ECDSA_SHA256, EC, Some(P256)) => Scheme::P256Sha256,
            (ECDSA_SHA384, EC, Some(P256)) => Scheme::P256Sha384,
            (ECDSA_SHA256, EC, Some(P384)) => Scheme::P384Sha256,
            (ECDSA_SHA384, EC, Some(P384)) => Scheme::P384Sha384,
            _ => return None,
        })
    }

    fn key(&self) -> Result<PublicKey, PivError> {
        let info = self.parsed.tbs_certificate().subject_public_key_info().to_der();
        let info = info.map_err(|_unwritable| UNREADABLE)?;
        PublicKey::from_spki(tlv::only(&info, 0x30)?, Slot::KEY_MANAGEMENT)
    }

    /// The value of an extension, if there is just one of that name.
    fn extension(&self, name: Oid) -> Option<&[u8]> {
        let extensions = self.parsed.tbs_certificate().extensions()?;
        let mut named = extensions.iter().filter(|extension| extension.extn_id == name);
        let value = named.next().map(|extension| extension.extn_value.as_bytes());
        value.filter(|_| named.next().is_none())
    }

    fn is_authority(&self) -> bool {
        let constraints = self.parsed.tbs_certificate().get_extension::<BasicConstraints>();
        constraints.is_ok_and(|constraints| constraints.is_some_and(|(_critical, found)| found.ca))
    }
}

/// Certificates that somebody trusts to have signed attesters: Yubico's, or their owner's.
#[derive(Clone, Debug, Default)]
pub struct Roots(Vec<Certificate>);

impl Roots {
    /// All certificates of a PEM file (RFC 7468), beside those that are known already.
    ///
    /// # Errors
    /// [`PivError::Attestation`] if there is none, or one cannot be read; nothing is added then.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<(), PivError> {
        let chain = CertificateInner::<Raw>::load_pem_chain(pem).map_err(|_malformed| UNREADABLE)?;
        if chain.is_empty() {
            return Err(PivError::Attestation("there is no certificate"));
        }
        let chain = chain.into_iter().map(|certificate| {
            let der = certificate.to_der().map_err(|_unwritable| UNREADABLE)?;
            Certificate::from_der(&der)
        });
        self.0.append(&mut chain.collect::<Result<_, _>>()?);
        Ok(())
    }
}

/// What a card says of itself and of a key, where it says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The serial number.
    pub serial: Option<u32>,
    /// The firmware.
    pub version: Option<Version>,
    /// The key's policies.
    pub policies: (Option<PinPolicy>, Option<TouchPolicy>),
}

/// Two certificates of which the second one's key signed the first one.
#[derive(Clone, Debug)]
pub struct Attestation {
    key: PublicKey,
    statement: Certificate,
    attester: Certificate,
}

impl Attestation {
    /// The certificate of a key and that of its attester, DER.
    ///
    /// # Errors
    /// [`PivError::Attestation`] if one cannot be read, or the attester did not sign the other.
    pub fn verify(statement: &[u8], attester: &[u8]) -> Result<Self, PivError> {
        let (statement, attester) = (Certificate::from_der(statement)?, Certificate::from_der(attester)?);
        if !statement.is_from(&attester) {
            return Err(PivError::Attestation("the attester did not sign it"));
        }
        let key =
            statement.key().map_err(|_foreign| PivError::Attestation("it is of another kind of key"))?;
        Ok(Self { key, statement, attester })
    }

    /// Whether it is of this key, and of the card that said this.
    ///
    /// # Errors
    /// [`PivError::Attestation`] says what differs.
    pub fn agrees(&self, key: &PublicKey, said: &Said) -> Result<(), PivError> {
        let differs = |what| Err(PivError::Attestation(what));
        if self.key != *key {
            return differs("it is of another key");
        }
        if said.serial.is_some() && self.serial() != said.serial {
            return differs("it names another serial number");
        }
        if let Some(Version(version)) = said.version
            && self.statement.extension(VERSION) != Some(&version)
        {
            return differs("it names another firmware");
        }
        let policies = self.statement.extension(POLICIES).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        let (pin, touch) = match policies {
            Some([pin, touch]) => (PinPolicy::of(pin), TouchPolicy::of(touch)),
            None => (None, None),
        };
        let (said_pin, said_touch) = said.policies;
        if (said_pin.is_some() && said_pin != pin) || (said_touch.is_some() && said_touch != touch) {
            return differs("it names another policy of PIN or touch");
        }
        Ok(())
    }

    fn serial(&self) -> Option<u32> {
        let number = Uint::from_der(self.statement.extension(SERIAL)?).ok()?;
        let bytes = number.as_bytes();
        let padding = 4_usize.checked_sub(bytes.len())?;
        let padded = [vec![0; padding].as_slice(), bytes].concat();
        Some(u32::from_be_bytes(padded.try_into().ok()?))
    }

    /// Whether the attester is one of `roots`, or was signed by one that is an authority.
    #[must_use]
    pub fn is_rooted(&self, roots: &Roots) -> bool {
        let attester = &self.attester;
        roots.0.iter().any(|root| {
            root.parsed == attester.parsed
                || (attester.is_authority() && root.is_authority() && attester.is_from(root))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! vector {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/vectors/attestation/", $name))
        };
    }

    /// By an attester with an RSA key, as older tokens have, and by one on a curve.
    const PAIRS: [(&[u8], &[u8]); 2] = [
        (vector!("rsa-attested.der"), vector!("rsa-attester.der")),
        (vector!("p384-attested.der"), vector!("p384-attester.der")),
    ];
    const SAID: Said = Said {
        serial: Some(12_345_678),
        version: Some(Version([5, 7, 1])),
        policies: (Some(PinPolicy::Once), Some(TouchPolicy::Always)),
    };

    fn roots(pem: &[u8]) -> Roots {
        let mut roots = Roots::default();
        roots.add_pem(pem).unwrap();
        roots
    }

    #[test]
    fn what_agrees_is_believed_as_far_as_its_root() {
        for (statement, attester) in PAIRS {
            let key = PublicKey::from_certificate(statement, Slot::KEY_MANAGEMENT).unwrap();
            let attestation = Attestation::verify(statement, attester).unwrap();
            assert_eq!(attestation.agrees(&key, &SAID), Ok(()));
            // A card that says less contradicts nothing.
            assert_eq!(attestation.agrees(&key, &Said::default()), Ok(()));
            assert!(attestation.is_rooted(&roots(vector!("root.pem"))));
            let both = [&vector!("stranger.pem")[..], vector!("root.pem")].concat();
            assert!(attestation.is_rooted(&roots(&both)));
            for not in [&vector!("stranger.pem")[..], vector!("no-authority.pem")] {
                assert!(!attestation.is_rooted(&roots(not)));
            }
            assert!(!attestation.is_rooted(&Roots::default()));
            let itself = Roots(vec![Certificate::from_der(attester).unwrap()]);
            assert!(attestation.is_rooted(&itself));
        }
    }

    #[test]
    fn whatever_differs_is_told() {
        let [(statement, attester), (other, _)] = PAIRS;
        let key = PublicKey::from_certificate(statement, Slot::KEY_MANAGEMENT).unwrap();
        let other = PublicKey::from_certificate(other, Slot::KEY_MANAGEMENT).unwrap();
        let attestation = Attestation::verify(statement, attester).unwrap();
        let differs = |what| Err(PivError::Attestation(what));
        assert_eq!(attestation.agrees(&other, &SAID), differs("it is of another key"));
        for (said, what) in [
            (Said { serial: Some(12_345_679), ..SAID }, "it names another serial number"),
            (Said { version: Some(Version([5, 7, 2])), ..SAID }, "it names another firmware"),
            (
                Said { policies: (Some(PinPolicy::Always), None), ..SAID },
                "it names another policy of PIN or touch",
            ),
            (
                Said { policies: (None, Some(TouchPolicy::Never)), ..SAID },
                "it names another policy of PIN or touch",
            ),
        ] {
            assert_eq!(attestation.agrees(&key, &said), differs(what));
        }
    }

    #[test]
    fn nobody_else_signed_it_and_nothing_of_it_can_be_changed() {
        let unsigned = Some(PivError::Attestation("the attester did not sign it"));
        let [(first, their), (second, ours)] = PAIRS;
        assert_eq!(Attestation::verify(first, ours).err(), unsigned);
        assert_eq!(Attestation::verify(second, their).err(), unsigned);
        assert_eq!(Attestation::verify(first, first).err(), unsigned);
        for (statement, attester) in PAIRS {
            for at in 0..statement.len() {
                let mut changed = statement.to_vec();
                changed[at] ^= 0x10;
                assert!(Attestation::verify(&changed, attester).is_err(), "byte {at}");
                assert!(Attestation::verify(&statement[..at], attester).is_err(), "{at} bytes");
            }
            assert!(Attestation::verify(&[statement, &[0]].concat(), attester).is_err());
            for length in 0..attester.len() {
                assert!(Attestation::verify(statement, &attester[..length]).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn files_without_certificates_are_refused() {
        for pem in [&b""[..], b"\n", b"nonsense", &vector!("root.pem")[..300], PAIRS[0].0] {
            assert!(Roots::default().add_pem(pem).is_err());
        }
    }
}
