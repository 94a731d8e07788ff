//! Gives a token its first PIN, the way any client would: authenticatorClientPIN, PIN/UV protocol 1
//! (CTAP 2.2, sections 6.5.5.5 and 6.5.6).

use std::convert::Infallible;

use aes::Aes256;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding};
use ctaphid_app::Command;
use hmac::{Hmac, KeyInit as _, Mac as _, digest::InvalidLength};
use minicbor::{Decoder, Encoder, data::Type, decode, encode};
use p256::{PublicKey, SecretKey, ecdh::diffie_hellman};
use sha2::{Digest as _, Sha256};

use crate::{attestation::random_key, authenticator::Request, token::Token};

const GET_INFO: u8 = 0x04;
const CLIENT_PIN: u8 = 0x06;
/// getKeyAgreement for protocol 1: `{1: 1, 2: 2}`.
const GET_KEY_AGREEMENT: [u8; 6] = [CLIENT_PIN, 0xA2, 0x01, 0x01, 0x02, 0x02];
const SET_PIN: u8 = 3;
const PADDED_PIN: usize = 64;

/// Why the PIN was not set.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// CTAP wants at least 4 characters and at most 63 bytes.
    #[error("a PIN has at least 4 characters and at most 63 bytes")]
    Length,
    /// The authenticator answered with a CTAP2 error.
    #[error("the authenticator refused the PIN with error 0x{0:02x}")]
    Refused(u8),
    /// The card did not take it.
    #[error("a PIN for PIV has 6 to 8 digits")]
    Card,
    /// The authenticator's answer made no sense.
    #[error("the authenticator's answer makes no sense")]
    Nonsense,
}

impl From<decode::Error> for PinError {
    fn from(_: decode::Error) -> Self {
        Self::Nonsense
    }
}

impl From<encode::Error<Infallible>> for PinError {
    fn from(_: encode::Error<Infallible>) -> Self {
        Self::Nonsense
    }
}

impl From<InvalidLength> for PinError {
    fn from(_: InvalidLength) -> Self {
        Self::Length
    }
}

/// Sets the PIN on a token that has none; leaves alone one that has.
///
/// # Errors
/// See [`PinError`].
pub async fn set(token: &Token, pin: &str) -> Result<(), PinError> {
    if pin.chars().count() < 4 || pin.len() >= PADDED_PIN {
        return Err(PinError::Length);
    }
    if has_pin(&call(token, vec![GET_INFO]).await?)? {
        return Ok(());
    }
    let theirs = key_agreement(&call(token, GET_KEY_AGREEMENT.to_vec()).await?)?;
    let request = set_pin(pin, &random_key(), &theirs)?;
    call(token, request).await.map(drop)
}

/// Sets the PIN of PIV on a card that was never given one.
///
/// # Errors
/// See [`PinError`].
pub async fn set_on_card(token: &Token, pin: &str) -> Result<(), PinError> {
    token.set_card_pin(pin).await.map_err(|_status| PinError::Card)
}

async fn call(token: &Token, request: Vec<u8>) -> Result<Vec<u8>, PinError> {
    let mut pending = token.submit(Request::Hid(Command::Cbor, request)).await.ok_or(PinError::Nonsense)?;
    let answer = pending.answer().await;
    match answer.as_deref().map(<[u8]>::split_first) {
        Ok(Some((0, body))) => Ok(body.to_vec()),
        Ok(Some((code, _))) => Err(PinError::Refused(*code)),
        Ok(None) | Err(_) => Err(PinError::Nonsense),
    }
}

/// `clientPin` among the options (0x04) of getInfo.
fn has_pin(info: &[u8]) -> Result<bool, PinError> {
    let mut cbor = Decoder::new(info);
    for _ in 0..cbor.map()?.ok_or(PinError::Nonsense)? {
        if cbor.u8()? != 0x04 {
            cbor.skip()?;
            continue;
        }
        for _ in 0..cbor.map()?.ok_or(PinError::Nonsense)? {
            if cbor.str()? == "clientPin" {
                return Ok(cbor.bool()?);
            }
            cbor.skip()?;
        }
    }
    Err(PinError::Nonsense)
}

/// The public key in `{1: COSE_Key}`.
fn key_agreement(answer: &[u8]) -> Result<PublicKey, PinError> {
    let mut cbor = Decoder::new(answer);
    let (mut x, mut y) = (None, None);
    if (cbor.map()?, cbor.u8()?) != (Some(1), 1) {
        return Err(PinError::Nonsense);
    }
    for _ in 0..cbor.map()?.ok_or(PinError::Nonsense)? {
        let label = cbor.i8()?;
        match (label, cbor.datatype()?) {
            (-2, Type::Bytes) => x = Some(cbor.bytes()?),
            (-3, Type::Bytes) => y = Some(cbor.bytes()?),
            _ => cbor.skip()?,
        }
    }
    let (Some(x), Some(y)) = (x, y) else { return Err(PinError::Nonsense) };
    PublicKey::from_sec1_bytes(&[&[4], x, y].concat()).ok().ok_or(PinError::Nonsense)
}

fn set_pin(pin: &str, ours: &SecretKey, theirs: &PublicKey) -> Result<Vec<u8>, PinError> {
    let shared = diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
    let shared = Sha256::digest(shared.raw_secret_bytes());
    let mut padded: Vec<u8> = pin.into();
    padded.resize(PADDED_PIN, 0);
    // Protocol 1 has an all-zero IV; the key is used for this one message.
    let sealed =
        cbc::Encryptor::<Aes256>::new(&shared, &[0; 16].into()).encrypt_padded_vec::<NoPadding>(&padded);
    let mut mac = Hmac::<Sha256>::new_from_slice(&shared)?;
    mac.update(&sealed);
    let tag = mac.finalize().into_bytes();

    let point = ours.public_key().to_sec1_bytes();
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len().min(32));
    let mut cbor = Encoder::new(vec![CLIENT_PIN]);
    cbor.map(5)?.u8(1)?.u8(1)?.u8(2)?.u8(SET_PIN)?;
    cbor.u8(3)?.map(5)?.u8(1)?.u8(2)?.u8(3)?.i8(-25)?.i8(-1)?.u8(1)?.i8(-2)?.bytes(x)?.i8(-3)?.bytes(y)?;
    cbor.u8(4)?.bytes(tag.get(..16).unwrap_or_default())?.u8(5)?.bytes(&sealed)?;
    Ok(cbor.into_writer())
}
