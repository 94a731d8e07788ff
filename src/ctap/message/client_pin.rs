//! `authenticatorClientPIN` (CTAP 2.1 section 6.5.5).

use super::{KeyAgreement, request};
use crate::ctap::CtapError;
use crate::ctap::cbor::{self, Value};

const AUTHENTICATOR_CLIENT_PIN: u8 = 0x06;
const GET_PIN_RETRIES: u8 = 0x01;
const GET_KEY_AGREEMENT: u8 = 0x02;
const GET_PIN_TOKEN: u8 = 0x05;
const GET_PIN_UV_AUTH_TOKEN_USING_PIN_WITH_PERMISSIONS: u8 = 0x09;

pub(in crate::ctap) fn get_pin_retries(protocol: u8) -> Result<Vec<u8>, CtapError> {
    bare(protocol, GET_PIN_RETRIES)
}

pub(in crate::ctap) fn get_key_agreement(protocol: u8) -> Result<Vec<u8>, CtapError> {
    bare(protocol, GET_KEY_AGREEMENT)
}

fn bare(protocol: u8, subcommand: u8) -> Result<Vec<u8>, CtapError> {
    request(AUTHENTICATOR_CLIENT_PIN, |cbor| {
        cbor.map(2)?.u8(0x01)?.u8(protocol)?.u8(0x02)?.u8(subcommand)?.ok()
    })
}

pub(in crate::ctap) fn get_pin_token(
    protocol: u8,
    ours: &KeyAgreement,
    pin_hash_enc: &[u8],
) -> Result<Vec<u8>, CtapError> {
    request(AUTHENTICATOR_CLIENT_PIN, |cbor| {
        cbor.map(4)?.u8(0x01)?.u8(protocol)?.u8(0x02)?.u8(GET_PIN_TOKEN)?.u8(0x03)?;
        ours.write(cbor)?;
        cbor.u8(0x06)?.bytes(pin_hash_enc)?.ok()
    })
}

pub(in crate::ctap) fn get_pin_uv_auth_token_using_pin_with_permissions(
    protocol: u8,
    ours: &KeyAgreement,
    pin_hash_enc: &[u8],
    permissions: u8,
    rp_id: &str,
) -> Result<Vec<u8>, CtapError> {
    request(AUTHENTICATOR_CLIENT_PIN, |cbor| {
        cbor.map(6)?.u8(0x01)?.u8(protocol)?;
        cbor.u8(0x02)?.u8(GET_PIN_UV_AUTH_TOKEN_USING_PIN_WITH_PERMISSIONS)?.u8(0x03)?;
        ours.write(cbor)?;
        cbor.u8(0x06)?.bytes(pin_hash_enc)?.u8(0x09)?.u8(permissions)?.u8(0x0a)?.str(rp_id)?.ok()
    })
}

/// The reply to any subcommand of ours.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientPinReply {
    /// `keyAgreement`
    pub key_agreement: Option<KeyAgreement>,
    /// `pinUvAuthToken`, encrypted.
    pub pin_uv_auth_token: Option<Vec<u8>>,
    /// `pinRetries`
    pub pin_retries: Option<u64>,
    /// `powerCycleState`: no PIN is taken before the token has been unplugged.
    pub power_cycle_state: Option<bool>,
}

impl ClientPinReply {
    /// Decodes what follows the status byte.
    ///
    /// # Errors
    /// [`CtapError::Malformed`]
    pub fn decode(body: &[u8]) -> Result<Self, CtapError> {
        let value = cbor::decode(body)?;
        let map = value.map()?;
        Ok(Self {
            key_agreement: map.at(0x01).map(|key| KeyAgreement::from_cbor(key.map()?)).transpose()?,
            pin_uv_auth_token: map.at(0x02).map(Value::bytes).transpose()?.map(<[u8]>::to_vec),
            pin_retries: map.at(0x03).map(Value::unsigned).transpose()?,
            power_cycle_state: map.at(0x04).map(Value::boolean).transpose()?,
        })
    }
}
