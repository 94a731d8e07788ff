//! PIN/UV auth protocols one and two (CTAP 2.1 sections 6.5.6 and 6.5.7): the platform's side.

use super::CtapError;
use super::message::KeyAgreement;
use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const BLOCK: usize = 16;

/// A `pinUvAuthProtocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinUvAuthProtocol {
    /// Zero IV, truncated MAC; the only one of CTAP 2.0.
    One,
    /// Random IV, whole MAC, two keys.
    Two,
}

impl PinUvAuthProtocol {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// `authenticate`, whose key is a shared secret's or a PIN/UV token.
    pub(super) fn authenticate(self, key: &[u8], message: &[u8]) -> Result<Vec<u8>, CtapError> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).or(Err(IMPOSSIBLE))?;
        let mut mac = mac.chain_update(message).finalize().into_bytes().to_vec();
        if self == Self::One {
            mac.truncate(16);
        }
        Ok(mac)
    }
}

/// HMAC takes keys of any length, HKDF gives 32 bytes, a block cipher takes whole blocks.
const IMPOSSIBLE: CtapError = CtapError::Unsupported("an input of this length");

/// What both sides derive for one command.
pub(super) struct SharedSecret {
    protocol: PinUvAuthProtocol,
    hmac_key: Zeroizing<[u8; 32]>,
    aes_key: Zeroizing<[u8; 32]>,
}

impl SharedSecret {
    /// `encapsulate`: a fresh key pair of ours against the token's point, which must lie on the curve.
    pub(super) fn encapsulate(
        protocol: PinUvAuthProtocol,
        token: &KeyAgreement,
    ) -> Result<(KeyAgreement, Self), CtapError> {
        let mut scalar = Zeroizing::new([0; 32]);
        getrandom::fill(scalar.as_mut()).or(Err(CtapError::Random))?;
        // Fails for zero or a number beyond the group's order, once in 2^32.
        let ours = SecretKey::from_slice(scalar.as_ref()).or(Err(CtapError::Random))?;
        Ok((public(&ours)?, Self::agree(protocol, &ours, token)?))
    }

    fn agree(protocol: PinUvAuthProtocol, ours: &SecretKey, token: &KeyAgreement) -> Result<Self, CtapError> {
        let mut point = vec![0x04];
        point.extend(token.x);
        point.extend(token.y);
        let token = PublicKey::from_sec1_bytes(&point)
            .or(Err(CtapError::Malformed("a key agreement key that is not on P-256")))?;
        let z = ours.diffie_hellman(&token);
        let mut hmac_key = Zeroizing::new([0; 32]);
        let mut aes_key = Zeroizing::new([0; 32]);
        match protocol {
            PinUvAuthProtocol::One => {
                hmac_key.copy_from_slice(
                    &Zeroizing::new(<[u8; 32]>::from(Sha256::digest(z.raw_secret_bytes())))[..],
                );
                *aes_key = *hmac_key;
            }
            PinUvAuthProtocol::Two => {
                let kdf = Hkdf::<Sha256>::new(Some(&[0; 32]), z.raw_secret_bytes());
                kdf.expand(b"CTAP2 HMAC key", hmac_key.as_mut()).or(Err(IMPOSSIBLE))?;
                kdf.expand(b"CTAP2 AES key", aes_key.as_mut()).or(Err(IMPOSSIBLE))?;
            }
        }
        Ok(Self { protocol, hmac_key, aes_key })
    }

    /// `encrypt`, of whole blocks.
    pub(super) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, CtapError> {
        let mut iv = [0; BLOCK];
        if self.protocol == PinUvAuthProtocol::Two {
            getrandom::fill(&mut iv).or(Err(CtapError::Random))?;
        }
        self.encrypt_with(iv, plaintext)
    }

    fn encrypt_with(&self, iv: [u8; BLOCK], plaintext: &[u8]) -> Result<Vec<u8>, CtapError> {
        // One allocation, encrypted in place: no copy of the plaintext stays behind.
        let mut text = plaintext.to_vec();
        cbc::Encryptor::<Aes256>::new(&(*self.aes_key).into(), &iv.into())
            .encrypt_padded::<NoPadding>(&mut text, plaintext.len())
            .or(Err(IMPOSSIBLE))?;
        Ok(match self.protocol {
            PinUvAuthProtocol::One => text,
            PinUvAuthProtocol::Two => [&iv[..], &text].concat(),
        })
    }

    /// `decrypt`.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CtapError> {
        const LENGTH: CtapError = CtapError::Malformed("a ciphertext of an impossible length");
        let (iv, text) = match self.protocol {
            PinUvAuthProtocol::One => ([0; BLOCK], ciphertext),
            PinUvAuthProtocol::Two => {
                let (iv, text) = ciphertext.split_at_checked(BLOCK).ok_or(LENGTH)?;
                (iv.try_into().or(Err(LENGTH))?, text)
            }
        };
        let mut text = Zeroizing::new(text.to_vec());
        cbc::Decryptor::<Aes256>::new(&(*self.aes_key).into(), &iv.into())
            .decrypt_padded::<NoPadding>(&mut text)
            .or(Err(LENGTH))?;
        Ok(text)
    }

    /// `authenticate` with this secret.
    pub(super) fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>, CtapError> {
        self.protocol.authenticate(self.hmac_key.as_ref(), message)
    }
}

fn public(ours: &SecretKey) -> Result<KeyAgreement, CtapError> {
    let point = ours.public_key().to_sec1_point(false);
    match (point.x(), point.y()) {
        (Some(x), Some(y)) => Ok(KeyAgreement { x: (*x).into(), y: (*y).into() }),
        _ => Err(IMPOSSIBLE),
    }
}
