//! Decoding what a token sent, with limits: a small tree that borrows from the reply.
//!
//! CTAP2 canonical CBOR (CTAP 2.1 section 8) rules out indefinite lengths, tags and duplicate keys, and so
//! do we. The order of keys is not checked: tokens on the market get it wrong, and nothing depends on it.

use super::CtapError;
use minicbor::Decoder;
use minicbor::data::Type;

/// Twice what section 8 allows a message to nest.
const MAX_DEPTH: u8 = 8;
/// Values in one message; a full `authenticatorGetInfo` has about a hundred.
const MAX_VALUES: u16 = 1024;

/// One decoded value.
#[derive(Debug, PartialEq)]
pub enum Value<'b> {
    /// An integer of either sign.
    Int(i64),
    /// A byte string.
    Bytes(&'b [u8]),
    /// A text string.
    Text(&'b str),
    /// An array.
    Array(Vec<Value<'b>>),
    /// A map.
    Map(Map<'b>),
    /// A boolean.
    Bool(bool),
    /// A type that no message of ours uses: null, floats, huge integers.
    Other,
}

/// A map with no key twice.
#[derive(Debug, Default, PartialEq)]
pub struct Map<'b>(Vec<(Key<'b>, Value<'b>)>);

/// A map's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'b> {
    /// An integer of either sign.
    Int(i64),
    /// A text string.
    Text(&'b str),
}

/// Decodes one value that fills `bytes`.
///
/// # Errors
/// [`CtapError::Malformed`] for anything that is not one value within the limits.
pub fn decode(bytes: &[u8]) -> Result<Value<'_>, CtapError> {
    match decode_prefix(bytes)? {
        (value, []) => Ok(value),
        _ => Err(CtapError::Malformed("bytes after a CBOR value")),
    }
}

/// Decodes the value that `bytes` starts with, and returns what follows it.
///
/// # Errors
/// As [`decode`].
pub fn decode_prefix(bytes: &[u8]) -> Result<(Value<'_>, &[u8]), CtapError> {
    let mut decoder = Decoder::new(bytes);
    let value = Limits { values: MAX_VALUES }.value(&mut decoder, MAX_DEPTH)?;
    Ok((value, bytes.get(decoder.position()..).unwrap_or_default()))
}

/// What one message may still hold.
struct Limits {
    values: u16,
}

impl Limits {
    fn value<'b>(&mut self, decoder: &mut Decoder<'b>, depth: u8) -> Result<Value<'b>, CtapError> {
        self.values = self.values.checked_sub(1).ok_or(CtapError::Malformed("too many CBOR values"))?;
        let kind = decoder.datatype().map_err(|error| malformed(&error))?;
        let value = match kind {
            Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int => decoder.int().map(|int| i64::try_from(int).map_or(Value::Other, Value::Int)),
            Type::Bytes => decoder.bytes().map(Value::Bytes),
            Type::String => decoder.str().map(Value::Text),
            Type::Bool => decoder.bool().map(Value::Bool),
            Type::Array => return self.array(decoder, depth),
            Type::Map => return self.map(decoder, depth),
            Type::Null | Type::Undefined | Type::Simple | Type::F16 | Type::F32 | Type::F64 => {
                decoder.skip().map(|()| Value::Other)
            }
            Type::Tag
            | Type::BytesIndef
            | Type::StringIndef
            | Type::ArrayIndef
            | Type::MapIndef
            | Type::Break
            | Type::Unknown(_) => return Err(CtapError::Malformed("a CBOR type that CTAP2 rules out")),
        };
        value.map_err(|error| malformed(&error))
    }

    fn array<'b>(&mut self, decoder: &mut Decoder<'b>, depth: u8) -> Result<Value<'b>, CtapError> {
        let (count, depth) = nested(decoder.array(), depth)?;
        // Grown as values come in: the count is only a claim.
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(decoder, depth)?);
        }
        Ok(Value::Array(values))
    }

    fn map<'b>(&mut self, decoder: &mut Decoder<'b>, depth: u8) -> Result<Value<'b>, CtapError> {
        let (count, depth) = nested(decoder.map(), depth)?;
        let mut map = Map::default();
        for _ in 0..count {
            let key = match self.value(decoder, depth)? {
                Value::Int(key) => Key::Int(key),
                Value::Text(key) => Key::Text(key),
                Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Other => {
                    return Err(CtapError::Malformed("a CBOR map key that is no number or text"));
                }
            };
            if map.find(key).is_some() {
                return Err(CtapError::Malformed("a CBOR map key twice"));
            }
            map.0.push((key, self.value(decoder, depth)?));
        }
        Ok(Value::Map(map))
    }
}

fn nested(header: Result<Option<u64>, minicbor::decode::Error>, depth: u8) -> Result<(u64, u8), CtapError> {
    let count = header.map_err(|error| malformed(&error))?;
    let count = count.ok_or(CtapError::Malformed("a CBOR type that CTAP2 rules out"))?;
    Ok((count, depth.checked_sub(1).ok_or(CtapError::Malformed("CBOR nested too deeply"))?))
}

/// The decoder's own words are dropped: they may quote the token.
fn malformed(_error: &minicbor::decode::Error) -> CtapError {
    CtapError::Malformed("broken CBOR")
}

impl<'b> Map<'b> {
    fn find(&self, key: Key<'_>) -> Option<&Value<'b>> {
        self.0.iter().find(|(have, _)| *have == key).map(|(_, value)| value)
    }

    /// The value under a number.
    pub fn at(&self, key: i64) -> Option<&Value<'b>> {
        self.find(Key::Int(key))
    }

    /// The value under a text.
    pub fn named(&self, key: &str) -> Option<&Value<'b>> {
        self.find(Key::Text(key))
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (Key<'b>, &Value<'b>)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }
}

/// Each of these fails with [`CtapError::Malformed`] on another type.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl<'b> Value<'b> {
    /// A number that is not negative.
    pub fn unsigned(&self) -> Result<u64, CtapError> {
        let Self::Int(int) = self else { return Err(WRONG_TYPE) };
        u64::try_from(*int).or(Err(WRONG_TYPE))
    }

    /// A byte string.
    pub fn bytes(&self) -> Result<&'b [u8], CtapError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG_TYPE) }
    }

    /// A text string.
    pub fn text(&self) -> Result<&'b str, CtapError> {
        if let Self::Text(text) = self { Ok(text) } else { Err(WRONG_TYPE) }
    }

    /// A boolean.
    pub fn boolean(&self) -> Result<bool, CtapError> {
        if let Self::Bool(boolean) = self { Ok(*boolean) } else { Err(WRONG_TYPE) }
    }

    /// An array.
    pub fn array(&self) -> Result<&[Self], CtapError> {
        if let Self::Array(values) = self { Ok(values) } else { Err(WRONG_TYPE) }
    }

    /// A map.
    pub fn map(&self) -> Result<&Map<'b>, CtapError> {
        if let Self::Map(map) = self { Ok(map) } else { Err(WRONG_TYPE) }
    }
}

const WRONG_TYPE: CtapError =
    CtapError::Malformed("a CBOR value of another type than the specification says");

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> &'static str {
        match decode(bytes) {
            Err(CtapError::Malformed(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_map_is_read_and_unknown_types_are_carried_along() {
        let value = decode(
            b"\xa4\x01\x20\x61a\x43xyz\x02\xf9\x3c\x00\x20\x82\xf6\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        )
        .unwrap();
        let map = value.map().unwrap();
        assert_eq!(map.at(1), Some(&Value::Int(-1)));
        assert_eq!(map.named("a").unwrap().bytes(), Ok(&b"xyz"[..]));
        assert_eq!(map.at(2), Some(&Value::Other));
        assert_eq!(map.at(-1).unwrap().array().unwrap(), [Value::Other, Value::Other]);
        assert_eq!(map.at(1).unwrap().unsigned(), Err(WRONG_TYPE));
        assert_eq!(map.at(9), None);
    }

    #[test]
    fn what_ctap_rules_out_is_refused() {
        assert_eq!(refused(b"\xa2\x01\x01\x01\x02"), "a CBOR map key twice");
        // The same key in a longer encoding is the same key.
        assert_eq!(refused(b"\xa2\x01\x01\x18\x01\x02"), "a CBOR map key twice");
        assert_eq!(refused(b"\xa1\x80\x01"), "a CBOR map key that is no number or text");
        assert_eq!(refused(b"\xbf\xff"), "a CBOR type that CTAP2 rules out");
        assert_eq!(refused(b"\xc0\x01"), "a CBOR type that CTAP2 rules out");
        assert_eq!(refused(b"\x5f\x41a\xff"), "a CBOR type that CTAP2 rules out");
        assert_eq!(refused(b"\x01\x01"), "bytes after a CBOR value");
        assert_eq!(refused(b""), "broken CBOR");
        assert_eq!(refused(b"\x62\xff\xff"), "broken CBOR");
    }

    #[test]
    fn claims_of_size_cost_nothing() {
        assert_eq!(refused(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), "broken CBOR");
        assert_eq!(refused(b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff"), "broken CBOR");
        assert_eq!(refused(&[0x81; 7000]), "CBOR nested too deeply");
        let mut many = b"\x99\x10\x00".to_vec();
        many.resize(3 + 4096, 0);
        assert_eq!(refused(&many), "too many CBOR values");
    }
}
