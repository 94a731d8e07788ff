//! Secret sharing after Shamir, over the field of AES (FIPS 197 section 4), each byte on its own: any `needed` of the
//! shares give the key back, fewer tell nothing of it.

use super::CryptoError;
use crate::secret::KeyShare;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

/// Bytes of a share of a 32-byte key: x, then y for each byte of the key.
pub const SHARE: usize = 33;

/// Splits a key into `count` shares, whose x are 1, 2, 3 …
///
/// # Errors
/// [`CryptoError::Malformed`] unless 2 ≤ `needed` ≤ `count` ≤ 255.
pub fn split(key: &[u8], needed: usize, count: usize) -> Result<Vec<KeyShare>, CryptoError> {
    // Randomness that fails would be a panic in there: ask for some first.
    super::random::public::<1>()?;
    let shares = Gf256::split_bytes(needed, count, key, UnwrapErr(SysRng));
    let shares = shares.map_err(|_opaque| CryptoError::Malformed)?;
    Ok(shares.into_iter().map(Zeroizing::new).map(|share| KeyShare::copy_from(&share)).collect())
}

/// The key, from as many shares as are needed. With fewer, or with one of another key, it is a wrong one.
///
/// # Errors
/// [`CryptoError::Malformed`] unless there are two or more, of one length, each x once.
pub fn combine(shares: &[&KeyShare]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let mut copies: Vec<Vec<u8>> = shares.iter().map(|share| share.with(<[u8]>::to_vec)).collect();
    let key = Gf256::combine_bytes(&copies);
    copies.iter_mut().for_each(zeroize::Zeroize::zeroize);
    key.map(Zeroizing::new).map_err(|_opaque| CryptoError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_that_suffice_give_the_key_back_and_fewer_do_not() {
        let key: Vec<u8> = (0..32).collect();
        for count in 2..=5_usize {
            for needed in 2..=count {
                let shares = split(&key, needed, count).unwrap();
                let last = shares[count - 1].with(|share| (share.len(), usize::from(share[0])));
                assert_eq!(last, (SHARE, count));
                for chosen in 0..1_u32 << count {
                    let chosen: Vec<_> =
                        (0..count).filter(|at| chosen >> at & 1 == 1).map(|at| &shares[at]).collect();
                    let given = combine(&chosen);
                    if chosen.len() < 2 {
                        assert_eq!(given.map(|_| ()), Err(CryptoError::Malformed));
                    } else {
                        assert_eq!(*given.unwrap() == key, chosen.len() >= needed);
                    }
                }
            }
        }
    }

    /// The line 0x53 + 0xca·x, and 0x53 · 0xca = 1 (FIPS 197 section 4.2 has both numbers).
    #[test]
    fn the_field_is_that_of_aes() {
        let share = |x, y| KeyShare::copy_from(&[x, y]);
        let (one, inverse) = (share(1, 0x53 ^ 0xca), share(0x53, 0x53 ^ 1));
        assert_eq!(*combine(&[&one, &inverse]).unwrap(), [0x53]);
    }

    #[test]
    fn one_share_twice_and_other_numbers_are_refused() {
        let shares = split(&[7; 32], 2, 3).unwrap();
        let malformed = Err(CryptoError::Malformed);
        assert_eq!(combine(&[&shares[0], &shares[0]]).map(|_| ()), malformed);
        assert_eq!(combine(&[&shares[0], &KeyShare::copy_from(&[0; 33])]).map(|_| ()), malformed);
        assert_eq!(combine(&[&shares[0], &KeyShare::copy_from(&[2; 32])]).map(|_| ()), malformed);
        for (needed, count) in [(0, 3), (1, 3), (4, 3), (2, 256)] {
            assert_eq!(split(&[7; 32], needed, count).map(|_| ()), malformed);
        }
    }
}
