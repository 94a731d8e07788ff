//! What a host does of RSA (RFC 8017) when the private key is in a card: RSAES-OAEP encryption (section 7.1.1), and
//! taking the padding off a block that the card has decrypted (section 7.1.2, step 3). SHA-256 for the label and for
//! MGF1.
//!
//! Own code on big numbers in constant time: the crate `rsa` would bring key generation, signatures and encodings,
//! and cannot unpad a block that something else decrypted.

use super::{CryptoError, hash, random};
use crate::secret::TokenSecret;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a hash.
const HASH: usize = 32;
/// Bytes of what [`PublicKey::seal`] seals.
const SECRET: usize = 32;
/// The one exponent that SP 800-78-4 (section 3.1) allows.
const EXPONENT: u32 = 0x0001_0001;

/// A public key: 2048, 3072 or 4096 bits, exponent 65537.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    modulus: Vec<u8>,
}

impl PublicKey {
    /// A key as cards and certificates give it: big-endian, with or without leading zeros.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] for any other size or exponent, or an even modulus.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, CryptoError> {
        let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
        let sized = matches!(modulus.len(), 256 | 384 | 512);
        let full = modulus.first().is_some_and(|high| high & 0x80 != 0);
        let odd = modulus.last().is_some_and(|low| low & 1 != 0);
        if sized && full && odd && trimmed(&EXPONENT.to_be_bytes()) == exponent {
            Ok(Self { modulus: modulus.to_vec() })
        } else {
            Err(CryptoError::Malformed)
        }
    }

    /// Bytes of the modulus, of a ciphertext and of a decrypted block: 256, 384 or 512.
    pub fn size(&self) -> usize {
        self.modulus.len()
    }

    /// The modulus, big-endian, without leading zeros.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// Seals 32 fresh random bytes to the key, bound to `label`: the ciphertext and the bytes.
    ///
    /// # Errors
    /// [`CryptoError::NoRandomness`].
    pub fn seal(&self, label: &[u8]) -> Result<(Vec<u8>, TokenSecret), CryptoError> {
        let secret = TokenSecret::try_fill(SECRET, random::fill)?;
        let mut seed = Zeroizing::new([0; HASH]);
        random::fill(seed.as_mut_slice())?;
        let ciphertext = secret.with(|message| self.encrypt(message, label, &seed))?;
        Ok((ciphertext, secret))
    }

    fn encrypt(&self, message: &[u8], label: &[u8], seed: &[u8; HASH]) -> Result<Vec<u8>, CryptoError> {
        // EM = 00 || maskedSeed || maskedDB, DB = lHash || PS || 01 || M
        let mut block = Zeroizing::new(vec![0; self.size()]);
        let (head, data) =
            block.split_at_mut_checked(HASH.saturating_add(1)).ok_or(CryptoError::Malformed)?;
        let start = data.len().checked_sub(message.len()).ok_or(CryptoError::Malformed)?;
        let (padding, room) = data.split_at_mut(start);
        room.copy_from_slice(message);
        *padding.last_mut().ok_or(CryptoError::Malformed)? = 1;
        let (digest, zeros) = padding.split_at_mut_checked(HASH).ok_or(CryptoError::Malformed)?;
        if zeros.is_empty() {
            return Err(CryptoError::Malformed);
        }
        digest.copy_from_slice(&hash::sha256(&[label]));
        let masked_seed = head.get_mut(1..).ok_or(CryptoError::Malformed)?;
        masked_seed.copy_from_slice(seed);
        mask(data, seed);
        mask(masked_seed, data);
        self.power(&block)
    }

    /// RSAEP (RFC 8017 section 5.1.1) in a time that does not depend on the block.
    fn power(&self, block: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let bits = u32::try_from(self.size()).unwrap_or_default().saturating_mul(8);
        let number =
            |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).map_err(|_opaque| CryptoError::Malformed);
        let modulus = Option::<Odd<BoxedUint>>::from(Odd::new(number(&self.modulus)?));
        let params = BoxedMontyParams::new_vartime(modulus.ok_or(CryptoError::Malformed)?);
        // The block starts with a zero byte, so it is below the modulus, whose top bit is set.
        let mut base = BoxedMontyForm::new(number(block)?, &params);
        let exponent = BoxedUint::from(EXPONENT);
        let power = base.pow_bounded_exp(&exponent, u32::BITS.saturating_sub(EXPONENT.leading_zeros()));
        base.zeroize();
        Ok(power.retrieve().to_be_bytes().into_vec())
    }
}

/// Takes the padding off a decrypted block: the message, if it has `length` bytes and was bound to `label`.
///
/// Which of the checks failed shows neither in the error nor, the length being given, in the time.
///
/// # Errors
/// [`CryptoError::NotAuthentic`]; [`CryptoError::Malformed`] if the block is too short for any such message.
pub fn unpad(block: &[u8], label: &[u8], length: usize) -> Result<TokenSecret, CryptoError> {
    let mut block = Zeroizing::new(block.to_vec());
    let (head, data) = block.split_at_mut_checked(HASH.saturating_add(1)).ok_or(CryptoError::Malformed)?;
    let (first, seed) = head.split_at_mut(1);
    mask(seed, data);
    mask(data, seed);
    let start = data.len().checked_sub(length).ok_or(CryptoError::Malformed)?;
    let (padding, message) = data.split_at(start);
    let (digest, zeros) = padding.split_at_checked(HASH).ok_or(CryptoError::Malformed)?;
    let (one, zeros) = zeros.split_last().ok_or(CryptoError::Malformed)?;
    let mut good: Choice = first.ct_eq(&[0]) & one.ct_eq(&1);
    good &= digest.ct_eq(&hash::sha256(&[label]));
    good &= zeros.iter().fold(0, |all, zero| all | zero).ct_eq(&0);
    if good.into() { Ok(TokenSecret::copy_from(message)) } else { Err(CryptoError::NotAuthentic) }
}

/// XORs MGF1 (RFC 8017 appendix B.2.1) of `seed` into `data`.
fn mask(data: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(data.chunks_mut(HASH)) {
        let bytes = Zeroizing::new(hash::sha256(&[seed, &counter.to_be_bytes()]));
        chunk.iter_mut().zip(bytes.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn key() -> PublicKey {
        PublicKey::new(&[0xff; 256], &[0, 1, 0, 1]).unwrap()
    }

    /// The padding of [`PublicKey::encrypt`], without the power.
    fn padded(message: &[u8], label: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 256];
        block[33..65].copy_from_slice(&hash::sha256(&[label]));
        let start = 256 - message.len();
        block[start - 1] = 1;
        block[start..].copy_from_slice(message);
        let (head, data) = block.split_at_mut(33);
        head[1..].fill(9);
        mask(data, &[9; 32]);
        mask(&mut head[1..], data);
        block
    }

    #[test]
    fn what_is_padded_is_unpadded_and_any_changed_bit_is_refused() {
        let block = padded(&[7; 32], b"label");
        assert_eq!(unpad(&block, b"label", 32).unwrap().with(<[u8]>::to_vec), [7; 32]);
        assert_eq!(unpad(&block, b"lapel", 32).err(), Some(CryptoError::NotAuthentic));
        for length in (0..=190).filter(|length| *length != 32) {
            assert_eq!(unpad(&block, b"label", length).err(), Some(CryptoError::NotAuthentic));
        }
        for length in [191, 223, 224, 256, usize::MAX] {
            assert_eq!(unpad(&block, b"label", length).err(), Some(CryptoError::Malformed));
        }
        for bit in 0..8 * 256 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unpad(&bad, b"label", 32).err(), Some(CryptoError::NotAuthentic));
        }
        for length in 0..66 {
            assert!(unpad(&vec![0; length], b"", 32).is_err());
        }
    }

    #[test]
    fn sealing_is_salted_and_fits_the_key() {
        let ((one, first), (two, second)) = (key().seal(b"").unwrap(), key().seal(b"").unwrap());
        assert!(one != two && one.len() == 256);
        assert_ne!(first.with(<[u8]>::to_vec), second.with(<[u8]>::to_vec));
    }

    #[test]
    fn absurd_keys_are_refused() {
        let e = [1, 0, 1];
        for bits in [128, 255, 257, 320, 640, 0] {
            assert_eq!(PublicKey::new(&vec![0xff; bits], &e), Err(CryptoError::Malformed));
        }
        let even = [&[0xff; 255][..], &[0xfe]].concat();
        let small = [&[0x7f][..], &[0xff; 255]].concat();
        assert!(PublicKey::new(&even, &e).is_err() && PublicKey::new(&small, &e).is_err());
        for exponent in [&[][..], &[3], &[1], &[1, 0, 2], &[1, 0, 0, 1]] {
            assert_eq!(PublicKey::new(&[0xff; 256], exponent), Err(CryptoError::Malformed));
        }
        assert!(PublicKey::new(&[&[0][..], &[0xff; 512]].concat(), &e).is_ok());
    }
}
