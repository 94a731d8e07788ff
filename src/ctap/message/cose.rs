//! The P-256 public keys of the key agreement, as COSE keys (CTAP 2.1 section 6.5.6).

use super::{Writer, Written, fixed};
use crate::ctap::CtapError;
use crate::ctap::cbor::{Map, Value};

/// A point as it came or goes; not validated here.
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
