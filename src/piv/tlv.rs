//! BER-TLV as cards write it (ISO/IEC 7816-4 section 5.2.2), and the part of DER that a certificate's public key
//! needs: definite lengths of at most two bytes, tags of at most two.
//!
//! DER's rule of the shortest length is not held against cards: some break it, and nothing depends on it.

use super::PivError;

/// Bytes of the largest value: a certificate with room to spare.
pub const MAX_VALUE: usize = 16 * 1024;
const BROKEN: PivError = PivError::Malformed("broken TLV");

/// One element: its tag, one or two bytes as a number, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'b> {
    /// The tag.
    pub tag: u16,
    /// The value.
    pub value: &'b [u8],
}

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// Reads `bytes` from their start.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element.
    ///
    /// # Errors
    /// [`PivError::Malformed`] if there is none, or it is cut short.
    pub fn element(&mut self) -> Result<Tlv<'b>, PivError> {
        let mut tag = u16::from(self.byte()?);
        // X.690 section 8.1.2.4: five bits set mean that the tag goes on.
        if tag & 0x1f == 0x1f {
            let second = self.byte()?;
            if second & 0x80 != 0 {
                return Err(BROKEN);
            }
            tag = tag << 8 | u16::from(second);
        }
        let length = match self.byte()? {
            short @ 0..=0x7f => usize::from(short),
            0x81 => usize::from(self.byte()?),
            0x82 => usize::from(u16::from_be_bytes([self.byte()?, self.byte()?])),
            _ => return Err(BROKEN),
        };
        let (value, rest) = self.0.split_at_checked(length).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(Tlv { tag, value })
    }

    /// The value of the next element, which must have this tag.
    ///
    /// # Errors
    /// As [`Self::element`].
    pub fn expect(&mut self, tag: u16) -> Result<&'b [u8], PivError> {
        let element = self.element()?;
        if element.tag == tag { Ok(element.value) } else { Err(PivError::Malformed("a TLV of another tag")) }
    }

    /// The value of the next element if it has this tag; otherwise it stays where it is.
    ///
    /// # Errors
    /// As [`Self::element`], but not for the end.
    pub fn optional(&mut self, tag: u16) -> Result<Option<&'b [u8]>, PivError> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut ahead = *self;
        let element = ahead.element()?;
        if element.tag != tag {
            return Ok(None);
        }
        *self = ahead;
        Ok(Some(element.value))
    }

    fn byte(&mut self) -> Result<u8, PivError> {
        let (byte, rest) = self.0.split_first().ok_or(BROKEN)?;
        self.0 = rest;
        Ok(*byte)
    }
}

/// The value of the one element that fills `bytes`.
///
/// # Errors
/// [`PivError::Malformed`] for another tag, or anything after it.
pub fn only(bytes: &[u8], tag: u16) -> Result<&[u8], PivError> {
    let mut reader = Reader::new(bytes);
    let value = reader.expect(tag)?;
    if reader.is_empty() { Ok(value) } else { Err(PivError::Malformed("bytes after a TLV")) }
}

/// The value of the first element with this tag; the others are passed over, but must be whole.
///
/// # Errors
/// [`PivError::Malformed`] if there is none.
pub fn find(bytes: &[u8], tag: u16) -> Result<&[u8], PivError> {
    find_optional(bytes, tag)?.ok_or(PivError::Malformed("a TLV is missing"))
}

/// As [`find`], where none is fine.
///
/// # Errors
/// [`PivError::Malformed`].
pub fn find_optional(bytes: &[u8], tag: u16) -> Result<Option<&[u8]>, PivError> {
    let mut reader = Reader::new(bytes);
    let mut found = None;
    while !reader.is_empty() {
        let element = reader.element()?;
        if element.tag == tag && found.is_none() {
            found = Some(element.value);
        }
    }
    Ok(found)
}

/// Appends an element whose value is `parts`, one after the other.
///
/// # Errors
/// [`PivError::Unsupported`] beyond [`MAX_VALUE`] bytes.
pub fn append(out: &mut Vec<u8>, tag: u16, parts: &[&[u8]]) -> Result<(), PivError> {
    let length: usize = parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()));
    let [high, low] =
        u16::try_from(length).ok().filter(|_| length <= MAX_VALUE).ok_or(TOO_LONG)?.to_be_bytes();
    // The whole room first: a vector that grows later would leave a secret behind unwiped.
    out.reserve_exact(length.saturating_add(5));
    let [first, second] = tag.to_be_bytes();
    if first != 0 {
        out.push(first);
    }
    out.push(second);
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

const TOO_LONG: PivError = PivError::Unsupported("an object of this size");

/// [`append`] to an empty vector.
///
/// # Errors
/// As [`append`].
pub fn build(tag: u16, parts: &[&[u8]]) -> Result<Vec<u8>, PivError> {
    let mut out = Vec::new();
    append(&mut out, tag, parts)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 3000, MAX_VALUE] {
            for tag in [0x53, 0x7c, 0x7f49] {
                let value = vec![7; length];
                let bytes = build(tag, &[&value[..length / 2], &value[length / 2..]]).unwrap();
                assert_eq!(only(&bytes, tag), Ok(&value[..]));
                for cut in 0..bytes.len() {
                    only(&bytes[..cut], tag).unwrap_err();
                }
            }
        }
        assert_eq!(build(0x53, &[&vec![0; MAX_VALUE + 1]]), Err(TOO_LONG));
    }

    #[test]
    fn odd_forms_are_refused() {
        for bytes in [&b"\x53"[..], b"\x53\x80", b"\x53\x83\0\0\0", b"\x5f\x81\x01\0", b"\x53\x02\0", b"\x7f"]
        {
            assert_eq!(Reader::new(bytes).element(), Err(BROKEN), "{bytes:x?}");
        }
        assert!(only(b"\x53\0\0", 0x53).is_err() && only(b"\x53\0", 0x54).is_err());
    }

    #[test]
    fn elements_are_found_among_others() {
        let bytes = b"\x01\x01a\x7f\x49\x01b\x01\x01c";
        assert_eq!(find(bytes, 1), Ok(&b"a"[..]));
        assert_eq!(find(bytes, 0x7f49), Ok(&b"b"[..]));
        assert_eq!(find_optional(bytes, 9), Ok(None));
        assert!(find(&bytes[..bytes.len() - 1], 1).is_err(), "the whole has to be whole");
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.optional(2), Ok(None));
        assert_eq!(reader.optional(1), Ok(Some(&b"a"[..])));
        assert_eq!(reader.expect(0x7f49), Ok(&b"b"[..]));
    }
}
