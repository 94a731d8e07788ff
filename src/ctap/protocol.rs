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

    pub(super) fn agree(
        protocol: PinUvAuthProtocol,
        ours: &SecretKey,
        token: &KeyAgreement,
    ) -> Result<Self, CtapError> {
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
        cbc::Encryptor::<Aes256>::new_from_slices(self.aes_key.as_ref(), &iv)
            .or(Err(IMPOSSIBLE))?
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
        cbc::Decryptor::<Aes256>::new_from_slices(self.aes_key.as_ref(), &iv)
            .or(Err(IMPOSSIBLE))?
            .decrypt_padded::<NoPadding>(&mut text)
            .or(Err(LENGTH))?;
        Ok(text)
    }

    /// `authenticate` with this secret.
    pub(super) fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>, CtapError> {
        self.protocol.authenticate(self.hmac_key.as_ref(), message)
    }
}

pub(super) fn public(ours: &SecretKey) -> Result<KeyAgreement, CtapError> {
    let point = ours.public_key().to_sec1_point(false);
    match (point.x(), point.y()) {
        (Some(x), Some(y)) => Ok(KeyAgreement { x: (*x).into(), y: (*y).into() }),
        _ => Err(IMPOSSIBLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn unhex(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn vectors() -> Vec<Value> {
        serde_json::from_str(include_str!("../../tests/vectors/ctap/pin_protocols.json")).unwrap()
    }

    fn agreed(vector: &Value) -> (PinUvAuthProtocol, SharedSecret) {
        let protocol = match vector["protocol"].as_u64() {
            Some(1) => PinUvAuthProtocol::One,
            _ => PinUvAuthProtocol::Two,
        };
        let ours = SecretKey::from_slice(&unhex(&vector["platform_private"])).unwrap();
        let coordinate = |name: &str| <[u8; 32]>::try_from(unhex(&vector[name])).unwrap();
        let expected = KeyAgreement { x: coordinate("platform_x"), y: coordinate("platform_y") };
        assert_eq!(public(&ours), Ok(expected));
        let token = KeyAgreement { x: coordinate("token_x"), y: coordinate("token_y") };
        (protocol, SharedSecret::agree(protocol, &ours, &token).unwrap())
    }

    #[test]
    fn both_protocols_agree_with_an_independent_implementation() {
        assert_eq!(vectors().len(), 2);
        for vector in vectors() {
            let (protocol, secret) = agreed(&vector);
            let iv = unhex(&vector["iv"]).try_into().unwrap();
            for (what, texts) in vector["encrypt"].as_object().unwrap() {
                let (plain, cipher) = (unhex(&texts["plain"]), unhex(&texts["cipher"]));
                let ours = match protocol {
                    PinUvAuthProtocol::One => secret.encrypt(&plain).unwrap(),
                    PinUvAuthProtocol::Two => secret.encrypt_with(iv, &plain).unwrap(),
                };
                assert_eq!(ours, cipher, "{what}");
                assert_eq!(*secret.decrypt(&cipher).unwrap(), plain, "{what}");
            }
            let salts = unhex(&vector["encrypt"]["two_salts"]["cipher"]);
            assert_eq!(secret.authenticate(&salts).unwrap(), unhex(&vector["salt_auth"]));
            let (token, data) = (unhex(&vector["pin_token"]), unhex(&vector["client_data_hash"]));
            assert_eq!(protocol.authenticate(&token, &data).unwrap(), unhex(&vector["pin_uv_auth_param"]));
        }
    }

    #[test]
    fn points_off_the_curve_are_refused() {
        let vector = &vectors()[0];
        let x: [u8; 32] = unhex(&vector["token_x"]).try_into().unwrap();
        let y: [u8; 32] = unhex(&vector["token_y"]).try_into().unwrap();
        let mut beside = y;
        beside[31] ^= 1;
        for (x, y) in [(x, beside), (y, x), ([0; 32], [0; 32]), ([0xff; 32], [0xff; 32]), (x, [0; 32])] {
            let refused = SharedSecret::encapsulate(PinUvAuthProtocol::Two, &KeyAgreement { x, y });
            assert!(matches!(refused, Err(CtapError::Malformed(_))));
        }
    }

    #[test]
    fn every_encryption_under_protocol_two_has_an_iv_of_its_own() {
        let (_, secret) = agreed(&vectors()[1]);
        assert_ne!(secret.encrypt(&[1; 32]).unwrap(), secret.encrypt(&[1; 32]).unwrap());
    }

    #[test]
    fn ciphertexts_that_are_no_blocks_are_refused() {
        for vector in vectors() {
            let (_, secret) = agreed(&vector);
            for length in (0..100).filter(|length| length % BLOCK != 0) {
                assert!(secret.decrypt(&vec![0; length]).is_err());
            }
        }
    }
}
