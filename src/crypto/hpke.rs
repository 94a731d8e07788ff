//! HPKE (RFC 9180), base mode, single shot: X-Wing (draft-connolly-cfrg-xwing-kem, id `0x647a` as in
//! draft-ietf-hpke-pq), HKDF-SHA-256, AES-256-GCM.

use super::CryptoError;
use crate::secret::SlotKey;
use ::hpke::aead::AesGcm256;
use ::hpke::kdf::HkdfSha256;
use ::hpke::kem::{Kem, XWing};
use ::hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

/// Bytes of a public key.
pub const PUBLIC_KEY: usize = 1216;
/// Bytes of an encapsulated key.
pub const ENCAPSULATED: usize = 1120;

type PrivateKey = <XWing as Kem>::PrivateKey;
type PublicKey = <XWing as Kem>::PublicKey;
type Encapsulated = <XWing as Kem>::EncappedKey;

/// The public half of a 32-byte seed.
///
/// # Errors
/// [`CryptoError::Malformed`] if the seed has another length.
pub fn public_key(seed: &SlotKey) -> Result<Vec<u8>, CryptoError> {
    let public = XWing::sk_to_pk(&private(seed)?);
    Ok(public.to_bytes().to_vec())
}

/// Seals `plaintext` to a public key: the encapsulated key and the ciphertext.
///
/// # Errors
/// [`CryptoError::Malformed`] if the public key is none.
pub fn seal(public: &[u8], info: &[u8], plaintext: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let public = PublicKey::from_bytes(public).map_err(|_opaque| CryptoError::Malformed)?;
    // Randomness that fails would be a panic in there: ask for some first.
    super::random::public::<1>()?;
    let (encapsulated, sealed) = ::hpke::single_shot_seal::<AesGcm256, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        info,
        plaintext,
        b"",
    )
    .map_err(|_opaque| CryptoError::Malformed)?;
    Ok((encapsulated.to_bytes().to_vec(), sealed))
}

/// Opens what [`seal`] sealed to the public half of `seed`.
///
/// # Errors
/// [`CryptoError::NotAuthentic`]; [`CryptoError::Malformed`] if a length is wrong.
pub fn open(
    seed: &SlotKey,
    encapsulated: &[u8],
    info: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let encapsulated = Encapsulated::from_bytes(encapsulated).map_err(|_opaque| CryptoError::Malformed)?;
    ::hpke::single_shot_open::<AesGcm256, HkdfSha256, XWing>(
        &OpModeR::Base,
        &private(seed)?,
        &encapsulated,
        info,
        sealed,
        b"",
    )
    .map(Zeroizing::new)
    .map_err(|_opaque| CryptoError::NotAuthentic)
}

fn private(seed: &SlotKey) -> Result<PrivateKey, CryptoError> {
    seed.with(PrivateKey::from_bytes).map_err(|_opaque| CryptoError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_was_sealed_and_nothing_else() {
        let (seed, other) = (SlotKey::copy_from(&[1; 32]), SlotKey::copy_from(&[2; 32]));
        let public = public_key(&seed).unwrap();
        let (encapsulated, sealed) = seal(&public, b"info", b"share").unwrap();
        assert_eq!((public.len(), encapsulated.len(), sealed.len()), (PUBLIC_KEY, ENCAPSULATED, 5 + 16));
        assert_eq!(*open(&seed, &encapsulated, b"info", &sealed).unwrap(), b"share");
        assert_eq!(open(&seed, &encapsulated, b"ino", &sealed).unwrap_err(), CryptoError::NotAuthentic);
        assert_eq!(open(&other, &encapsulated, b"info", &sealed).unwrap_err(), CryptoError::NotAuthentic);
        assert_eq!(open(&seed, &encapsulated[1..], b"info", &sealed).unwrap_err(), CryptoError::Malformed);
        assert_eq!(seal(&public[1..], b"info", b"").unwrap_err(), CryptoError::Malformed);
        let mut damaged = encapsulated.clone();
        damaged[1119] ^= 1;
        assert_eq!(open(&seed, &damaged, b"info", &sealed).unwrap_err(), CryptoError::NotAuthentic);
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    /// Sealed by another implementation (see the file).
    #[test]
    fn opens_what_another_implementation_sealed() {
        let text = include_str!("../../tests/vectors/hpke/xwing.json");
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        let field = |name: &str| unhex(vector[name].as_str().unwrap());
        let seed = SlotKey::copy_from(&field("seed"));
        assert_eq!(public_key(&seed).unwrap(), field("public key"));
        let opened = open(&seed, &field("encapsulated key"), &field("info"), &field("ciphertext")).unwrap();
        assert_eq!(*opened, field("plaintext"));
    }
}
