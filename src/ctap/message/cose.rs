//! P-256 public keys as COSE keys (RFC 9053 section 7.1.1): of the key agreement, and of credentials.

use super::{Writer, Written, fixed};
use crate::crypto::ecdsa::PublicKey;
use crate::ctap::CtapError;
use crate::ctap::cbor::{Map, Value};

/// A credential's key: ES256 on P-256, which is all that we ask for, and nothing else beside it (Web Authentication
/// section 6.5.1).
pub(super) fn credential_key(map: &Map<'_>) -> Result<PublicKey, CtapError> {
    const OTHER: CtapError = CtapError::Malformed("a credential with another kind of key than asked for");
    const EC2: i64 = 2;
    const ES256: i64 = -7;
    const P256: i64 = 1;
    let fixed_ones = [(1, EC2), (3, ES256), (-1, P256)];
    if map.iter().count() != 5 || !fixed_ones.iter().all(|(key, is)| map.at(*key) == Some(&Value::Int(*is))) {
        return Err(OTHER);
    }
    let (Some(Value::Bytes(x)), Some(Value::Bytes(y))) = (map.at(-2), map.at(-3)) else { return Err(OTHER) };
    let point = [&[0x04][..], &fixed::<32>(x)?, &fixed::<32>(y)?].concat();
    PublicKey::from_bytes(&fixed(&point)?)
        .or(Err(CtapError::Malformed("a credential with a key that is not on P-256")))
}

/// A point of the key agreement (CTAP 2.1 section 6.5.6) as it came or goes; not validated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAgreement {
    /// The x coordinate, big-endian.
    pub x: [u8; 32],
    /// The y coordinate, big-endian.
    pub y: [u8; 32],
}

impl KeyAgreement {
    pub(super) fn from_cbor(map: &Map<'_>) -> Result<Self, CtapError> {
        // kty EC2, crv P-256. The algorithm (-25) is one "not actually used", and some tokens say another.
        if map.at(1) != Some(&Value::Int(2)) || map.at(-1) != Some(&Value::Int(1)) {
            return Err(CtapError::Malformed("a key agreement key that is not on P-256"));
        }
        let coordinate = |key| match map.at(key) {
            Some(value) => fixed(value.bytes()?),
            None => Err(CtapError::Malformed("a key agreement key without coordinates")),
        };
        Ok(Self { x: coordinate(-2)?, y: coordinate(-3)? })
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Written {
        writer.map(5)?.i8(1)?.i8(2)?.i8(3)?.i8(-25)?.i8(-1)?.i8(1)?;
        writer.i8(-2)?.bytes(&self.x)?.i8(-3)?.bytes(&self.y)?;
        Ok(())
    }
}
