//! Deterministic CBOR (RFC 8949 section 4.2.1), and nothing else: over `minicbor`, which accepts more.

use super::{AccountRef, ItemId, SlotId};
use minicbor::{Decoder, Encoder};

/// The bytes are no deterministic CBOR, or not of the shape that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

pub(super) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    /// Reads `bytes` to their end with `read`.
    pub(super) fn whole<T>(bytes: &'b [u8], read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut reader = Self(Decoder::new(bytes));
        let value = read(&mut reader)?;
        if reader.0.position() == bytes.len() { Ok(value) } else { Err(Malformed) }
    }

    /// One value, which must have taken exactly the bytes of its shortest form.
    fn exact<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> std::result::Result<T, minicbor::decode::Error>,
        head: impl FnOnce(&T) -> Option<(u64, usize)>,
    ) -> Result<T> {
        let start = self.0.position();
        let value = read(&mut self.0).map_err(|_detail| Malformed)?;
        let (number, body) = head(&value).ok_or(Malformed)?;
        let shortest = start.checked_add(head_length(number)).and_then(|end| end.checked_add(body));
        if shortest == Some(self.0.position()) { Ok(value) } else { Err(Malformed) }
    }

    pub(super) fn uint(&mut self) -> Result<u64> {
        self.exact(Decoder::u64, |number| Some((*number, 0)))
    }

    pub(super) fn bytes(&mut self) -> Result<&'b [u8]> {
        self.exact(Decoder::bytes, |bytes| Some((u64::try_from(bytes.len()).ok()?, bytes.len())))
    }

    pub(super) fn bool(&mut self) -> Result<bool> {
        self.exact(Decoder::bool, |_| Some((0, 0)))
    }

    pub(super) fn array_of<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes()?.try_into().map_err(|_length| Malformed)
    }

    pub(super) fn text(&mut self) -> Result<&'b str> {
        self.exact(Decoder::str, |text| Some((u64::try_from(text.len()).ok()?, text.len())))
    }

    pub(super) fn string(&mut self) -> Result<String> {
        self.text().map(str::to_owned)
    }

    pub(super) fn slot_id(&mut self) -> Result<SlotId> {
        self.array_of().map(SlotId::from_bytes)
    }

    pub(super) fn item_id(&mut self) -> Result<ItemId> {
        self.array_of().map(ItemId::from_bytes)
    }

    pub(super) fn account_ref(&mut self) -> Result<AccountRef> {
        self.array_of().map(AccountRef::from_bytes)
    }

    /// Either null or what `read` reads.
    pub(super) fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if matches!(self.0.datatype(), Ok(minicbor::data::Type::Null)) {
            self.0.null().map_err(|_detail| Malformed)?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// The head of an array of exactly `length` elements.
    pub(super) fn fixed(&mut self, length: u64) -> Result<()> {
        if self.length()? == length { Ok(()) } else { Err(Malformed) }
    }

    /// An array whose elements `read` reads.
    pub(super) fn array<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let length = usize::try_from(self.length()?).map_err(|_size| Malformed)?;
        // An element has a byte at least: no length makes us allocate more than the input deserves.
        if length > self.0.input().len().saturating_sub(self.0.position()) {
            return Err(Malformed);
        }
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    /// A map with ascending unsigned keys.
    pub(super) fn map(&mut self) -> Result<Fields<'_, 'b>> {
        let left = self.exact(Decoder::map, |length| Some(((*length)?, 0)))?.ok_or(Malformed)?;
        Ok(Fields { reader: self, left, last: None, next: None })
    }

    fn length(&mut self) -> Result<u64> {
        self.exact(Decoder::array, |length| Some(((*length)?, 0)))?.ok_or(Malformed)
    }
}

/// The fields of a map, asked for in ascending order.
pub(super) struct Fields<'r, 'b> {
    reader: &'r mut Reader<'b>,
    left: u64,
    last: Option<u64>,
    next: Option<u64>,
}

impl<'b> Fields<'_, 'b> {
    pub(super) fn optional<T>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.next.is_none() && self.left > 0 {
            self.left = self.left.saturating_sub(1);
            let found = self.reader.uint()?;
            if self.last.is_some_and(|last| last >= found) {
                return Err(Malformed);
            }
            (self.last, self.next) = (Some(found), Some(found));
        }
        if self.next != Some(key) {
            return Ok(None);
        }
        self.next = None;
        read(self.reader).map(Some)
    }

    pub(super) fn required<T>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T>,
    ) -> Result<T> {
        self.optional(key, read)?.ok_or(Malformed)
    }

    /// No field is left over.
    pub(super) fn end(self) -> Result<()> {
        if self.left == 0 && self.next.is_none() { Ok(()) } else { Err(Malformed) }
    }
}

const fn head_length(number: u64) -> usize {
    match number {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Writes shortest forms; the caller sees to the order of keys. A vector takes every byte, so that no
/// method can fail.
pub(super) struct Writer(Encoder<Vec<u8>>);

impl Writer {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(capacity)))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }

    pub(super) fn uint(&mut self, number: u64) -> &mut Self {
        let _infallible = self.0.u64(number);
        self
    }

    /// A length, as a number.
    pub(super) fn size(&mut self, length: usize) -> &mut Self {
        self.uint(length as u64)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let _infallible = self.0.bytes(bytes);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let _infallible = self.0.str(text);
        self
    }

    pub(super) fn bool(&mut self, value: bool) -> &mut Self {
        let _infallible = self.0.bool(value);
        self
    }

    pub(super) fn null(&mut self) -> &mut Self {
        let _infallible = self.0.null();
        self
    }

    pub(super) fn array(&mut self, length: usize) -> &mut Self {
        let _infallible = self.0.array(length as u64);
        self
    }

    pub(super) fn map(&mut self, length: usize) -> &mut Self {
        let _infallible = self.0.map(length as u64);
        self
    }

    /// A field, where there is one.
    pub(super) fn field(&mut self, key: u64, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.uint(key).text(text),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shortest_forms_are_read() {
        let uint = |bytes: &[u8]| Reader::whole(bytes, Reader::uint);
        assert_eq!(uint(&[0x17]), Ok(23));
        assert_eq!(uint(&[0x18, 24]), Ok(24));
        for bad in [&[0x18, 23][..], &[0x19, 0, 255], &[0x1a, 0, 0, 255, 255], &[0x20], &[0x00, 0x00], &[]] {
            assert_eq!(uint(bad), Err(Malformed), "{bad:x?}");
        }
        assert_eq!(Reader::whole(&[0x1b, 0, 0, 0, 0, 255, 255, 255, 255], Reader::uint), Err(Malformed));
        let bytes = |bytes: &[u8]| Reader::whole(bytes, |reader| reader.bytes().map(<[u8]>::to_vec));
        assert_eq!(bytes(&[0x41, 7]), Ok(vec![7]));
        assert_eq!(bytes(&[0x58, 1, 7]), Err(Malformed));
        assert_eq!(bytes(&[0x5f, 0x41, 7, 0xff]), Err(Malformed));
        let text = |bytes: &[u8]| Reader::whole(bytes, Reader::string);
        assert_eq!(text(&[0x61, b'a']), Ok("a".to_owned()));
        assert_eq!(text(&[0x61, 0xff]), Err(Malformed));
        assert_eq!(text(&[0x78, 1, b'a']), Err(Malformed));
    }

    #[test]
    fn lengths_are_believed_only_as_far_as_the_input_goes() {
        let array = |bytes: &[u8]| Reader::whole(bytes, |reader| reader.array(Reader::uint));
        assert_eq!(array(&[0x82, 1, 2]), Ok(vec![1, 2]));
        for bad in [&[0x9f, 1, 0xff][..], &[0x98, 1, 1], &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]] {
            assert_eq!(array(bad), Err(Malformed));
        }
    }

    #[test]
    fn maps_have_known_ascending_keys() {
        let map = |bytes: &[u8]| {
            Reader::whole(bytes, |reader| {
                let mut fields = reader.map()?;
                let pair = (fields.required(0, Reader::uint)?, fields.optional(2, Reader::uint)?);
                fields.end()?;
                Ok(pair)
            })
        };
        assert_eq!(map(&[0xa1, 0, 7]), Ok((7, None)));
        assert_eq!(map(&[0xa2, 0, 7, 2, 8]), Ok((7, Some(8))));
        for bad in [
            &[0xa1, 2, 8][..],
            &[0xa2, 2, 8, 0, 7],
            &[0xa2, 0, 7, 0, 7],
            &[0xa2, 0, 7, 1, 7],
            &[0xa3, 0, 7, 2, 8, 3, 9],
            &[0xbf, 0, 7, 0xff],
            &[0xb8, 1, 0, 7],
        ] {
            assert_eq!(map(bad), Err(Malformed), "{bad:x?}");
        }
    }
}
