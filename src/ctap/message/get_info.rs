//! `authenticatorGetInfo` (CTAP 2.1 section 6.4).

use super::fixed;
use crate::ctap::cbor::{self, Value};
use crate::ctap::{CtapError, PinUvAuthProtocol};

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetInfo {
    /// `versions`, such as `FIDO_2_0`.
    pub versions: Vec<String>,
    /// `extensions`, such as `hmac-secret`.
    pub extensions: Vec<String>,
    /// The model.
    pub aaguid: [u8; 16],
    /// `options`.
    pub options: Options,
    /// `maxMsgSize`: the longest request.
    pub max_msg_size: usize,
    /// `pinUvAuthProtocols` as announced; a CTAP 2.0 token may leave them out and then has protocol one.
    pub pin_uv_auth_protocols: Vec<u64>,
    /// `maxCredentialIdLength`: longer ids belong to other tokens.
    pub max_credential_id_length: Option<u64>,
    /// `forcePINChange`: the PIN must be changed before it is good for anything.
    pub force_pin_change: bool,
    /// `minPINLength` in code points.
    pub min_pin_length: u64,
}

/// The options that concern us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// `clientPin`: none = no PIN possible, false = no PIN set.
    pub client_pin: Option<bool>,
    /// `uv`: verifies its user by itself (fingerprint); false = not set up.
    pub uv: Option<bool>,
    /// `pinUvAuthToken`: permissions are supported.
    pub pin_uv_auth_token: bool,
    /// `alwaysUv`: nothing that needs a touch works without verifying the user.
    pub always_uv: bool,
}

impl GetInfo {
    /// Decodes what follows the status byte.
    ///
    /// # Errors
    /// [`CtapError::Malformed`]
    pub fn decode(body: &[u8]) -> Result<Self, CtapError> {
        let value = cbor::decode(body)?;
        let map = value.map()?;
        let mut options = Options::default();
        if let Some(announced) = map.at(0x04) {
            let announced = announced.map()?;
            let get = |name| announced.named(name).map(Value::boolean).transpose();
            options = Options {
                client_pin: get("clientPin")?,
                uv: get("uv")?,
                pin_uv_auth_token: get("pinUvAuthToken")?.unwrap_or(false),
                always_uv: get("alwaysUv")?.unwrap_or(false),
            };
        }
        let size = map.at(0x05).map(Value::unsigned).transpose()?;
        Ok(Self {
            versions: texts(
                map.at(0x01).ok_or(CtapError::Malformed("authenticatorGetInfo without versions"))?,
            )?,
            extensions: map.at(0x02).map(texts).transpose()?.unwrap_or_default(),
            aaguid: fixed(
                map.at(0x03).ok_or(CtapError::Malformed("authenticatorGetInfo without AAGUID"))?.bytes()?,
            )?,
            options,
            // Section 6.4: 1024 where it is not announced.
            max_msg_size: size.map_or(1024, |size| usize::try_from(size).unwrap_or(usize::MAX)),
            pin_uv_auth_protocols: match map.at(0x06) {
                Some(list) => list.array()?.iter().map(Value::unsigned).collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
            max_credential_id_length: map.at(0x08).map(Value::unsigned).transpose()?,
            force_pin_change: map.at(0x0c).map(Value::boolean).transpose()?.unwrap_or(false),
            min_pin_length: map.at(0x0d).map(Value::unsigned).transpose()?.unwrap_or(4),
        })
    }

    /// Whether an extension is announced.
    pub fn has_extension(&self, name: &str) -> bool {
        self.extensions.iter().any(|have| have == name)
    }

    /// The best PIN/UV auth protocol that both sides speak.
    pub(in crate::ctap) fn protocol(&self) -> Result<PinUvAuthProtocol, CtapError> {
        let announced = &self.pin_uv_auth_protocols;
        if announced.contains(&2) {
            Ok(PinUvAuthProtocol::Two)
        } else if announced.contains(&1) || announced.is_empty() {
            Ok(PinUvAuthProtocol::One)
        } else {
            Err(CtapError::Unsupported("PIN/UV auth protocol 1 or 2"))
        }
    }
}

fn texts(value: &Value<'_>) -> Result<Vec<String>, CtapError> {
    value.array()?.iter().map(|text| text.text().map(str::to_owned)).collect()
}
