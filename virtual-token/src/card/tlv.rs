//! Tags of one or two bytes, lengths of up to three (BER, as ISO 7816-4, section 5.2.2 has them).

/// One element.
pub(super) type Element<'a> = (u16, &'a [u8]);

/// The first element, and what comes after it.
pub(super) fn first(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (tag, rest) = if first & 0x1F == 0x1F {
        let (&second, rest) = rest.split_first()?;
        (u16::from_be_bytes([first, second]), rest)
    } else {
        (first.into(), rest)
    };
    let (length, rest) = match rest {
        [length @ ..=0x7F, rest @ ..] | [0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(((tag, value), rest))
}

/// The value of the first element with this tag.
pub(super) fn find(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let ((tag, value), rest) = first(bytes)?;
        if tag == wanted {
            return Some(value);
        }
        bytes = rest;
    }
}

/// One element.
pub(super) fn element(tag: u16, value: &[u8]) -> Vec<u8> {
    let [high, low] = tag.to_be_bytes();
    let mut out = if high == 0 { vec![low] } else { vec![high, low] };
    match u8::try_from(value.len()) {
        Ok(length @ ..=0x7F) => out.push(length),
        Ok(length) => out.extend([0x81, length]),
        Err(_) => {
            // Nothing here is longer than an APDU.
            out.push(0x82);
            out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, 0x7F, 0x80, 0xFF, 0x100, 5000] {
            let value = vec![9; length];
            let bytes = [element(0x5C, &[1]), element(0x7F49, &value)].concat();
            assert_eq!(find(&bytes, 0x7F49), Some(&value[..]));
            assert_eq!(find(&bytes, 0x53), None);
            assert_eq!(find(&bytes[..bytes.len() - 1], 0x7F49), None);
        }
    }
}
