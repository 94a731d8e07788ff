//! Authenticator data (Web Authentication section 6.1), as both replies carry it.

use super::{cose, fixed};
use crate::crypto::ecdsa::PublicKey;
use crate::ctap::CtapError;
use crate::ctap::cbor::{self, Value};

const UP: u8 = 0x01;
const UV: u8 = 0x04;
const AT: u8 = 0x40;
const ED: u8 = 0x80;

/// What a token certifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthData {
    /// SHA-256 of the relying party's id.
    pub rp_id_hash: [u8; 32],
    /// The user touched the token.
    pub user_present: bool,
    /// The token verified its user (PIN or fingerprint).
    pub user_verified: bool,
    /// The new credential; absent in assertions.
    pub attested: Option<Attested>,
    /// The output of the `hmac-secret` extension.
    pub hmac_secret: Option<HmacSecret>,
}

/// A new credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The model of the token.
    pub aaguid: [u8; 16],
    /// The credential's id.
    pub credential_id: Vec<u8>,
    /// The key that it signs with.
    pub public_key: PublicKey,
}

/// The output of `hmac-secret` (CTAP 2.1 section 12.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HmacSecret {
    /// For a new credential: whether it can do `hmac-secret`.
    Enabled(bool),
    /// For an assertion: the encrypted outputs.
    Encrypted(Vec<u8>),
}

impl AuthData {
    /// Decodes `authData`.
    ///
    /// # Errors
    /// [`CtapError::Malformed`]
    pub fn decode(bytes: &[u8]) -> Result<Self, CtapError> {
        let (rp_id_hash, rest) = take::<32>(bytes)?;
        let ([flags], rest) = take::<1>(rest)?;
        let (_signature_counter, mut rest) = take::<4>(rest)?;
        let mut attested = None;
        if flags & AT != 0 {
            let (aaguid, after) = take::<16>(rest)?;
            let (length, after) = take::<2>(after)?;
            let length = usize::from(u16::from_be_bytes(length));
            let (id, after) = after.split_at_checked(length).ok_or(SHORT)?;
            let (key, after) = cbor::decode_prefix(after)?;
            let public_key = cose::credential_key(key.map()?)?;
            attested = Some(Attested { aaguid, credential_id: id.to_vec(), public_key });
            rest = after;
        }
        let mut hmac_secret = None;
        if flags & ED != 0 {
            let extensions = cbor::decode(rest)?;
            hmac_secret = match extensions.map()?.named("hmac-secret") {
                Some(Value::Bool(enabled)) => Some(HmacSecret::Enabled(*enabled)),
                Some(value) => Some(HmacSecret::Encrypted(value.bytes()?.to_vec())),
                None => None,
            };
        } else if !rest.is_empty() {
            return Err(CtapError::Malformed("bytes after the authenticator data"));
        }
        let (user_present, user_verified) = (flags & UP != 0, flags & UV != 0);
        Ok(Self { rp_id_hash, user_present, user_verified, attested, hmac_secret })
    }
}

const SHORT: CtapError = CtapError::Malformed("authenticator data that ends too early");

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), CtapError> {
    let (head, rest) = bytes.split_at_checked(N).ok_or(SHORT)?;
    Ok((fixed(head)?, rest))
}
