//! Verifying the signatures of certificates: RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2) and ECDSA (FIPS 186-5
//! section 6.4.2), by the crate that TLS brings along. Nothing is signed here.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// A kind of key, and the hash that it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Scheme {
    /// A modulus of 2048 to 8192 bits.
    RsaSha256,
    RsaSha384,
    RsaSha512,
    P256Sha256,
    P256Sha384,
    P384Sha256,
    P384Sha384,
}

impl Scheme {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaSha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaSha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::P256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
            Self::P384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
            Self::P384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        }
    }

    /// Whether `signature` is `key`'s over `message`. Key and signature stand as in a certificate: the key is an
    /// `RSAPublicKey` or an uncompressed point, an ECDSA signature is DER.
    #[must_use]
    pub fn verifies(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm(), key).verify(message, signature).is_ok()
    }
}
