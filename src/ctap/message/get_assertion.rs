//! `authenticatorGetAssertion` (CTAP 2.1 section 6.2).

use super::{AuthData, KeyAgreement, PinUvAuth, credentials, request};
use crate::crypto::ecdsa::PublicKey;
use crate::ctap::CtapError;
use crate::ctap::cbor::{self, Value};

const AUTHENTICATOR_GET_ASSERTION: u8 = 0x02;

/// An assertion by one credential.
pub(in crate::ctap) struct AssertionRequest<'a> {
    pub(in crate::ctap) rp_id: &'a str,
    pub(in crate::ctap) client_data_hash: &'a [u8; 32],
    pub(in crate::ctap) credential_id: &'a [u8],
    pub(in crate::ctap) hmac_secret: Option<HmacSecretInput>,
    /// False asks without a touch.
    pub(in crate::ctap) up: bool,
    pub(in crate::ctap) auth: Option<PinUvAuth>,
}

/// Section 12.5, the extension's input.
pub(in crate::ctap) struct HmacSecretInput {
    pub(in crate::ctap) key_agreement: KeyAgreement,
    pub(in crate::ctap) salt_enc: Vec<u8>,
    pub(in crate::ctap) salt_auth: Vec<u8>,
    pub(in crate::ctap) protocol: u8,
}

impl AssertionRequest<'_> {
    pub(in crate::ctap) fn encode(&self) -> Result<Vec<u8>, CtapError> {
        let optional = u64::from(self.hmac_secret.is_some())
            .saturating_add(u64::from(!self.up))
            .saturating_add(if self.auth.is_some() { 2 } else { 0 });
        request(AUTHENTICATOR_GET_ASSERTION, |cbor| {
            cbor.map(optional.saturating_add(3))?;
            cbor.u8(0x01)?.str(self.rp_id)?.u8(0x02)?.bytes(self.client_data_hash)?.u8(0x03)?;
            credentials(cbor, &[self.credential_id])?;
            if let Some(input) = &self.hmac_secret {
                // A CTAP 2.0 token knows no pinUvAuthProtocol here; protocol one is the default.
                let named = input.protocol != 1;
                cbor.u8(0x04)?.map(1)?.str("hmac-secret")?.map(if named { 4 } else { 3 })?.u8(1)?;
                input.key_agreement.write(cbor)?;
                cbor.u8(2)?.bytes(&input.salt_enc)?.u8(3)?.bytes(&input.salt_auth)?;
                if named {
                    cbor.u8(4)?.u8(input.protocol)?;
                }
            }
            if !self.up {
                cbor.u8(0x05)?.map(1)?.str("up")?.bool(false)?;
            }
            if let Some(auth) = &self.auth {
                cbor.u8(0x06)?.bytes(&auth.param)?.u8(0x07)?.u8(auth.protocol)?;
            }
            Ok(())
        })
    }
}

/// The reply to `authenticatorGetAssertion`.
#[derive(Debug, PartialEq, Eq)]
pub struct AssertionReply {
    /// The credential's id; may be left out when the request named one credential only.
    pub credential_id: Option<Vec<u8>>,
    /// `authData`
    pub auth_data: AuthData,
    /// `authData` as it came, which is what was signed.
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl AssertionReply {
    /// Decodes what follows the status byte.
    ///
    /// # Errors
    /// [`CtapError::Malformed`]
    pub fn decode(body: &[u8]) -> Result<Self, CtapError> {
        let value = cbor::decode(body)?;
        let map = value.map()?;
        let auth_data = map.at(0x02).ok_or(CtapError::Malformed("an assertion without authData"))?.bytes()?;
        let signature = map.at(0x03).ok_or(CtapError::Malformed("an assertion without a signature"))?;
        let credential = map.at(0x01).map(Value::map).transpose()?;
        let credential_id = credential.and_then(|credential| credential.named("id"));
        Ok(Self {
            credential_id: credential_id.map(Value::bytes).transpose()?.map(<[u8]>::to_vec),
            auth_data: AuthData::decode(auth_data)?,
            signed: auth_data.to_vec(),
            signature: signature.bytes()?.to_vec(),
        })
    }

    /// Whether the owner of `key` made this answer to this question (Web Authentication section 6.3.3).
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey, client_data_hash: &[u8; 32]) -> bool {
        key.verifies(&[&self.signed, client_data_hash], &self.signature)
    }
}
