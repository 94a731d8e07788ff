//! HKDF with SHA-256 (RFC 5869).

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// HKDF-SHA-256: extract from `ikm` with `salt`, expand to 32 bytes for `info` (its parts concatenated).
///
/// `ikm` must have the entropy of a key: this is no password hash.
pub fn derive(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), ikm).expand_multi_info(info, okm.as_mut_slice());
    // RFC 5869 section 2.3 allows up to 255 * 32 bytes.
    debug_assert!(expanded.is_ok(), "32 bytes are never too many");
    okm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869 appendix A.1 to A.3; ours are the first 32 of the 42 or 82 bytes (T(1) is a prefix).
    #[test]
    fn rfc_5869_vectors() {
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
        let check = |ikm: &[u8], salt: &[u8], info: &[u8], okm: &str| {
            let (head, tail) = info.split_at(info.len() / 2);
            assert_eq!(crate::crypto::hash::hex(&*derive(ikm, salt, &[head, tail])), okm);
        };
        check(
            &[0x0b; 22],
            &range(0, 0x0c),
            &range(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        );
        check(
            &range(0, 0x4f),
            &range(0x60, 0xaf),
            &range(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
        );
        check(&[0x0b; 22], &[], &[], "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    }
}
