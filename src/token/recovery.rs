//! The recovery code: a keyslot on paper. 256 bits in four lines of Crockford's base32, each with a checksum, so that
//! whoever typed it learns which line to look at.

use super::{Derived, Wanted};
use crate::crypto::{CryptoError, hash, random};
use crate::secret::{RecoveryCode, TokenSecret};
use zeroize::Zeroizing;

/// What its keyslots are called (`docs/vault-format.md`, "Kinds of keyslot"); and what a request names in place of a
/// token that it is to come from.
pub const RECOVERY: &str = "recovery";

/// Without I, L, O and U.
const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE: usize = 32;
/// Bytes of the code in one line.
const PART: usize = 8;
/// Bits of one line: its part, and 16 of checksum; and symbols, of 5 bits each.
const BITS: u32 = 80;
const LINE: usize = 16;
const GROUP: usize = 4;
const LINES: usize = CODE / PART;

/// Why a text is no recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    /// It has other characters, or more or fewer of them.
    #[error("a recovery code has 4 lines of 16 letters and digits")]
    Length,
    /// The checksum of one line is another.
    #[error("there is a mistake in line {0} of the recovery code")]
    Line(usize),
}

/// A new one.
///
/// # Errors
/// [`CryptoError::NoRandomness`].
pub fn new() -> Result<RecoveryCode, CryptoError> {
    RecoveryCode::try_fill(CODE, random::fill)
}

/// Four lines `XXXX-XXXX-XXXX-XXXX`.
pub fn text(code: &RecoveryCode) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(LINES * (LINE + LINE / GROUP)));
    code.with(|code| {
        for (number, part) in code.chunks_exact(PART).enumerate() {
            let bytes = part.iter().copied().chain(checksum(number, part));
            let bits = bytes.fold(0_u128, |bits, byte| bits << 8 | u128::from(byte));
            for (at, shift) in (0..BITS).step_by(5).rev().enumerate() {
                let symbol = bits.checked_shr(shift).unwrap_or_default() & 31;
                let symbol = usize::try_from(symbol).ok().and_then(|symbol| SYMBOLS.get(symbol));
                text.extend(symbol);
                text.extend(match at {
                    _ if at == LINE - 1 => Some(b'\n'),
                    _ if at % GROUP == GROUP - 1 => Some(b'-'),
                    _ => None,
                });
            }
        }
    });
    text
}

/// Reads it as a person may have typed it: in small letters, without dashes, with O for 0 and I or L for 1.
///
/// # Errors
/// [`Misread`].
pub fn read(text: &[u8]) -> Result<RecoveryCode, Misread> {
    let mut symbols = Zeroizing::new([0_u8; LINES * LINE]);
    let mut length = 0_usize;
    for character in text.iter().filter(|character| !character.is_ascii_whitespace() && **character != b'-') {
        *symbols.get_mut(length).ok_or(Misread::Length)? = symbol(*character).ok_or(Misread::Length)?;
        length = length.saturating_add(1);
    }
    if length < symbols.len() {
        return Err(Misread::Length);
    }
    RecoveryCode::try_fill(CODE, |code| {
        for (number, (line, part)) in symbols.chunks_exact(LINE).zip(code.chunks_exact_mut(PART)).enumerate()
        {
            let bits = line.iter().fold(0_u128, |bits, symbol| bits << 5 | u128::from(*symbol));
            let (value, check) = (u64::try_from(bits >> 16), u16::try_from(bits & 0xffff));
            part.copy_from_slice(&value.unwrap_or_default().to_be_bytes());
            if checksum(number, part) != check.unwrap_or_default().to_be_bytes() {
                return Err(Misread::Line(number.saturating_add(1)));
            }
        }
        Ok(())
    })
}

/// What the code gives for a keyslot's locks: itself. The locks' keys are told apart where they are derived.
pub fn derive(code: &RecoveryCode, wanted: Wanted) -> Derived {
    let secret = |wanted: bool| wanted.then(|| code.with(TokenSecret::copy_from));
    Derived { unlock: secret(wanted.unlock), guard: secret(wanted.guard) }
}

fn checksum(number: usize, part: &[u8]) -> [u8; 2] {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    let [high, low, ..] = hash::sha256(&[b"rootseal/v1/recovery", &[number], part]);
    [high, low]
}

fn symbol(character: u8) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    SYMBOLS.iter().position(|symbol| *symbol == character).and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(byte: impl FnMut(usize) -> u8) -> (Vec<u8>, Vec<u8>) {
        let bytes: Vec<u8> = (0..CODE).map(byte).collect();
        let text = text(&RecoveryCode::copy_from(&bytes)).to_vec();
        (bytes, text)
    }

    fn reads(text: &[u8]) -> Result<Vec<u8>, Misread> {
        read(text).map(|code| code.with(<[u8]>::to_vec))
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, text) = written(|at| u8::try_from(at).unwrap());
        let shown = String::from_utf8(text.clone()).unwrap();
        // Worked out by a program of its own.
        let known =
            ["000G-40R4-0M30-F8EC", "104G-M2RC-1M70-YAWT", "208H-44RM-2MB1-E1V3", "30CH-M6RW-3MF1-YEWG"];
        assert_eq!(shown.lines().collect::<Vec<_>>(), known);
        assert_eq!(reads(&text), Ok(bytes.clone()));
        let typed =
            shown.to_lowercase().replace('-', " ").replace('\n', "").replace('0', "o").replace('1', "l");
        assert_eq!(reads(typed.as_bytes()), Ok(bytes));
        let (ones, text) = written(|_| 0xff);
        assert_eq!(reads(&text), Ok(ones));
        assert!(new().unwrap().with(|code| code.len() == CODE && code.iter().any(|byte| *byte != 0)));
    }

    #[test]
    fn every_single_mistake_is_found_in_its_line() {
        let (_, text) = written(|at| u8::try_from(at * 11 % 256).unwrap());
        for at in 0..text.len() {
            let was = text[at];
            let Some(number) = symbol(was) else { continue };
            for other in (0..32).filter(|other| *other != number) {
                let mut wrong = text.clone();
                wrong[at] = SYMBOLS[usize::from(other)];
                // 16 bits let one in 65,536 pass; of this code, none.
                assert_eq!(reads(&wrong), Err(Misread::Line(at / 20 + 1)));
            }
        }
    }

    #[test]
    fn two_lines_in_the_wrong_order_are_found() {
        let (_, text) = written(|at| u8::try_from(at).unwrap());
        let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
        lines.swap(0, 1);
        assert_eq!(reads(&lines.join(&b'\n')), Err(Misread::Line(1)));
    }

    #[test]
    fn anything_else_is_no_code() {
        let (_, text) = written(|_| 3);
        for wrong in
            [&b""[..], b"hunter2", &text[1..], &[text.as_slice(), b"0"].concat(), &[b'U'; 64], &[0xff; 64]]
        {
            assert_eq!(reads(wrong), Err(Misread::Length));
        }
    }

    #[test]
    fn only_what_is_wanted_is_given() {
        let code = RecoveryCode::copy_from(&[5; CODE]);
        let derived = derive(&code, Wanted { unlock: true, guard: false });
        assert!(derived.guard.is_none());
        assert!(derived.unlock.unwrap().with(|secret| secret == [5; CODE]));
    }
}
