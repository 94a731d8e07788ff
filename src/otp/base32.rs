//! Base32 (RFC 4648 section 6) as people type it: any case, with spaces, dashes and padding or without.

use super::{MAX_TEXT, OtpError};
use crate::secret::TotpSeed;

/// Decodes a seed. Bits left over in the last character are not looked at: services that make seeds of
/// random characters leave them set.
pub(super) fn decode(text: &[u8]) -> Result<TotpSeed, OtpError> {
    if text.len() > MAX_TEXT {
        return Err(OtpError::TextTooLong);
    }
    let symbols = count_symbols(text)?;
    if symbols == 0 {
        return Err(OtpError::EmptySecret);
    }
    // One, three or six characters over fill no whole byte with what came before.
    if matches!(symbols % 8, 1 | 3 | 6) {
        return Err(OtpError::Base32Length);
    }
    let length = symbols.saturating_mul(5) / 8;
    Ok(TotpSeed::fill(length, |seed| {
        let mut bits = 0_u16;
        let mut held = 0_u32;
        let mut slots = seed.iter_mut();
        for value in text.iter().filter_map(|byte| value(*byte)) {
            bits = (bits << 5) | u16::from(value);
            held = held.saturating_add(5);
            if held >= 8 {
                held = held.saturating_sub(8);
                if let Some(slot) = slots.next() {
                    let [_, low] = (bits >> held).to_be_bytes();
                    *slot = low;
                }
            }
        }
    }))
}

fn count_symbols(text: &[u8]) -> Result<usize, OtpError> {
    let mut symbols = 0_usize;
    let mut padded = false;
    for (position, byte) in (1..).zip(text) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'-' => {}
            b'=' => padded = true,
            byte if value(*byte).is_some() && !padded => symbols = symbols.saturating_add(1),
            _ => return Err(OtpError::NotBase32 { position }),
        }
    }
    Ok(symbols)
}

const fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(byte.wrapping_sub(b'a')),
        b'2'..=b'7' => Some(byte.wrapping_sub(b'2').wrapping_add(26)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, OtpError> {
        decode(text.as_bytes()).map(|seed| seed.with(<[u8]>::to_vec))
    }

    #[test]
    fn rfc_4648_section_10() {
        for (bytes, text) in [
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            assert_eq!(decoded(text).unwrap(), bytes.as_bytes());
            assert_eq!(decoded(text.trim_end_matches('=')).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn typed_seeds_are_read() {
        let expected = decoded("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(expected, b"12345678901234567890");
        assert_eq!(decoded("gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n").unwrap(), expected);
        assert_eq!(decoded("GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ").unwrap(), expected);
    }

    #[test]
    fn what_is_no_base32_is_refused() {
        assert_eq!(decoded("MZXW1"), Err(OtpError::NotBase32 { position: 5 }));
        assert_eq!(decoded("MZ=XW"), Err(OtpError::NotBase32 { position: 4 }));
        assert_eq!(decoded("MZXé"), Err(OtpError::NotBase32 { position: 4 }));
        assert_eq!(decoded("M"), Err(OtpError::Base32Length));
        assert_eq!(decoded("MZX"), Err(OtpError::Base32Length));
        assert_eq!(decoded("MZXW6Y"), Err(OtpError::Base32Length));
        assert_eq!(decoded(" -== "), Err(OtpError::EmptySecret));
        assert_eq!(decoded(&"A".repeat(4097)), Err(OtpError::TextTooLong));
    }
}
