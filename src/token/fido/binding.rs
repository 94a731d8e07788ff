//! What the vault keeps of a FIDO2 token, in its own encoding.

use super::RP_ID;
use crate::crypto::ecdsa::PublicKey;
use crate::token::TokenError;
use minicbor::{Decoder, Encoder};

/// What a keyslot keeps of a FIDO2 credential (`docs/vault-format.md`, "Kinds of keyslot").
#[derive(Debug, PartialEq, Eq)]
pub(in crate::token) struct Binding {
    pub(super) credential_id: Vec<u8>,
    pub(super) salts: [[u8; 32]; 2],
    pub(in crate::token) user_verified: bool,
    pub(super) aaguid: [u8; 16],
    /// What tells the token from one that only claims to hold the credential.
    pub(super) public_key: PublicKey,
    /// Whether the token signs without its user, and so can be told before it is sent the PIN.
    pub(super) proves_itself: bool,
}

impl Binding {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.write(&mut Encoder::new(&mut bytes));
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        bytes
    }

    fn write(
        &self,
        out: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.map(7)?.u8(0)?.bytes(&self.credential_id)?.u8(1)?.str(RP_ID)?.u8(2)?.array(2)?;
        for salt in &self.salts {
            out.bytes(salt)?;
        }
        out.u8(3)?.bool(self.user_verified)?.u8(4)?.bytes(&self.aaguid)?;
        out.u8(5)?.bytes(self.public_key.as_bytes())?.u8(6)?.bool(self.proves_itself)?;
        Ok(())
    }

    pub(in crate::token) fn decode(bytes: &[u8]) -> Result<Self, TokenError> {
        let binding = Self::read(bytes).filter(|binding| binding.encode() == bytes);
        binding.ok_or(TokenError::Binding)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        let key = |from: &mut Decoder<'_>, expected: u8| (from.u8().ok()? == expected).then_some(());
        (from.map().ok()? == Some(7)).then_some(())?;
        key(&mut from, 0)?;
        let credential_id = from.bytes().ok().filter(|id| (1..=1024).contains(&id.len()))?.to_vec();
        key(&mut from, 1)?;
        (from.str().ok()? == RP_ID).then_some(())?;
        key(&mut from, 2)?;
        (from.array().ok()? == Some(2)).then_some(())?;
        let salts = [from.bytes().ok()?.try_into().ok()?, from.bytes().ok()?.try_into().ok()?];
        key(&mut from, 3)?;
        let user_verified = from.bool().ok()?;
        key(&mut from, 4)?;
        let aaguid = from.bytes().ok()?.try_into().ok()?;
        key(&mut from, 5)?;
        let public_key = PublicKey::from_bytes(from.bytes().ok()?.try_into().ok()?).ok()?;
        key(&mut from, 6)?;
        let proves_itself = from.bool().ok()?;
        let whole = from.position() == bytes.len();
        whole.then_some(Self { credential_id, salts, user_verified, aaguid, public_key, proves_itself })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key pair's public half.
    fn public_key(secret: u8) -> PublicKey {
        let secret = p256::SecretKey::from_slice(&[secret; 32]).unwrap();
        let point = p256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&secret.public_key(), false);
        PublicKey::from_bytes(point.as_bytes().try_into().unwrap()).unwrap()
    }

    fn binding() -> Binding {
        Binding {
            credential_id: vec![7; 70],
            salts: [[1; 32], [2; 32]],
            user_verified: true,
            aaguid: [3; 16],
            public_key: public_key(4),
            proves_itself: true,
        }
    }

    #[test]
    fn a_binding_is_read_as_it_was_written_and_in_no_other_form() {
        let bytes = binding().encode();
        assert_eq!(Binding::decode(&bytes), Ok(binding()));
        for length in 0..bytes.len() {
            assert_eq!(Binding::decode(&bytes[..length]), Err(TokenError::Binding));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Binding::decode(&longer), Err(TokenError::Binding));
        let mut other_rp = bytes;
        let at = other_rp.windows(8).position(|window| window == b"rootseal").unwrap();
        other_rp[at] = b'R';
        assert_eq!(Binding::decode(&other_rp), Err(TokenError::Binding));
    }

    #[test]
    fn a_key_that_is_no_point_of_the_curve_is_damage() {
        let mut bytes = binding().encode();
        // The last byte of y, before the entry of two bytes that follows it.
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        assert_eq!(Binding::decode(&bytes), Err(TokenError::Binding));
    }
}
