//! `authenticatorMakeCredential` (CTAP 2.1 section 6.1).

use super::{AuthData, PinUvAuth, credentials, request};
use crate::ctap::CtapError;
use crate::ctap::cbor;

const AUTHENTICATOR_MAKE_CREDENTIAL: u8 = 0x01;
const ES256: i8 = -7;

/// A credential to be made. It is not discoverable (`rk` keeps its default, false): whoever has its id
/// can use it, and nobody else can find it. No `credProtect`: level 3 would hide it from silent probing.
pub struct NewCredential<'a> {
    /// Relying party's id.
    pub rp_id: &'a str,
    /// Relying party's name, for the token's display.
    pub rp_name: &'a str,
    /// User handle, 1 to 64 bytes.
    pub user_id: &'a [u8],
    /// User's name, for the token's display.
    pub user_name: &'a str,
    /// SHA-256 of the client data.
    pub client_data_hash: &'a [u8; 32],
    /// The token refuses if it holds one of these.
    pub exclude: &'a [&'a [u8]],
}

impl NewCredential<'_> {
    pub(in crate::ctap) fn encode(&self, auth: Option<&PinUvAuth>) -> Result<Vec<u8>, CtapError> {
        let optional = u64::from(!self.exclude.is_empty()).saturating_add(if auth.is_some() { 2 } else { 0 });
        request(AUTHENTICATOR_MAKE_CREDENTIAL, |cbor| {
            cbor.map(optional.saturating_add(5))?;
            cbor.u8(0x01)?.bytes(self.client_data_hash)?;
            cbor.u8(0x02)?.map(2)?.str("id")?.str(self.rp_id)?.str("name")?.str(self.rp_name)?;
            cbor.u8(0x03)?.map(2)?.str("id")?.bytes(self.user_id)?.str("name")?.str(self.user_name)?;
            // pubKeyCredParams
            cbor.u8(0x04)?.array(1)?.map(2)?.str("alg")?.i8(ES256)?.str("type")?.str("public-key")?;
            if !self.exclude.is_empty() {
                cbor.u8(0x05)?;
                credentials(cbor, self.exclude)?;
            }
            cbor.u8(0x06)?.map(1)?.str("hmac-secret")?.bool(true)?;
            if let Some(auth) = auth {
                cbor.u8(0x08)?.bytes(&auth.param)?.u8(0x09)?.u8(auth.protocol)?;
            }
            Ok(())
        })
    }
}

/// The reply to `authenticatorMakeCredential`; its attestation is not looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct CredentialReply {
    /// `authData`
    pub auth_data: AuthData,
}

impl CredentialReply {
    /// Decodes what follows the status byte.
    ///
    /// # Errors
    /// [`CtapError::Malformed`]
    pub fn decode(body: &[u8]) -> Result<Self, CtapError> {
        let value = cbor::decode(body)?;
        let auth_data = value.map()?.at(0x02).ok_or(CtapError::Malformed("a credential without authData"))?;
        Ok(Self { auth_data: AuthData::decode(auth_data.bytes()?)? })
    }
}
