//! Requests in CTAP2 canonical CBOR (CTAP 2.1 section 8) and replies decoded from it.
//!
//! Map keys are written in canonical order by hand: numbers ascending (1, 2, … -1, -2), texts shortest first.

mod auth_data;
mod client_pin;
mod cose;
mod get_assertion;
mod get_info;
mod make_credential;
#[cfg(test)]
mod tests;

pub use auth_data::{Attested, AuthData, HmacSecret};
pub use client_pin::ClientPinReply;
pub(super) use client_pin::{
    get_key_agreement, get_pin_retries, get_pin_token, get_pin_uv_auth_token_using_pin_with_permissions,
};
pub use cose::KeyAgreement;
pub use get_assertion::AssertionReply;
pub(super) use get_assertion::{AssertionRequest, HmacSecretInput};
pub use get_info::{GetInfo, Options};
pub use make_credential::{CredentialReply, NewCredential};

use super::{CtapError, Status};
use minicbor::Encoder;
use std::convert::Infallible;

pub(super) const AUTHENTICATOR_GET_INFO: u8 = 0x04;

/// How a request says that its sender knows the PIN: `pinUvAuthParam` and `pinUvAuthProtocol`.
pub(super) struct PinUvAuth {
    pub(super) param: Vec<u8>,
    pub(super) protocol: u8,
}

type Writer = Encoder<Vec<u8>>;
type Written = Result<(), minicbor::encode::Error<Infallible>>;

/// A command byte and the CBOR that follows it.
fn request(command: u8, body: impl FnOnce(&mut Writer) -> Written) -> Result<Vec<u8>, CtapError> {
    let mut writer = Encoder::new(vec![command]);
    match body(&mut writer) {
        Ok(()) => Ok(writer.into_writer()),
        // Writing to memory does not fail.
        Err(_) => Err(CtapError::Unsupported("a request that cannot be encoded")),
    }
}

/// A list of `PublicKeyCredentialDescriptor`s.
fn credentials(writer: &mut Writer, ids: &[&[u8]]) -> Written {
    writer.array(ids.len() as u64)?;
    for id in ids {
        writer.map(2)?.str("id")?.bytes(id)?.str("type")?.str("public-key")?;
    }
    Ok(())
}

/// What follows the status byte of a reply.
///
/// # Errors
/// [`CtapError::Status`] for every status but `CTAP2_OK`.
pub fn body(reply: &[u8]) -> Result<&[u8], CtapError> {
    match reply {
        [0, body @ ..] => Ok(body),
        [status, ..] => Err(Status::of(*status)),
        [] => Err(CtapError::Malformed("an empty reply")),
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], CtapError> {
    bytes
        .try_into()
        .or(Err(CtapError::Malformed("a byte string of another length than the specification says")))
}
