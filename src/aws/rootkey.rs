//! `rootkey.csv`, the file in which the console hands out an access key, in both of its forms:
//!
//! ```text
//! AWSAccessKeyId=AKIA…            Access key ID,Secret access key
//! AWSSecretKey=…                  AKIA…,…
//! ```

use super::{AccessKeyId, Error};
use crate::secret::LongTermKey;

/// The largest file that is looked at, in bytes.
pub const MAX_CSV: usize = 64 * 1024;

/// AWS's secrets are 30 random bytes in base64.
const SECRET_LENGTH: usize = 40;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads the one access key in a `rootkey.csv`. A byte-order mark, CRLF, quotes and blank lines are fine.
///
/// # Errors
/// [`Error`], when there is not exactly one whole long-term key in it.
pub fn read_csv(file: &[u8]) -> Result<(AccessKeyId, LongTermKey), Error> {
    if file.len() > MAX_CSV {
        return Err(Error::KeyFileTooLarge);
    }
    let file = file.strip_prefix(BOM).unwrap_or(file);
    if file.iter().any(|byte| !matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')) {
        return Err(Error::KeyFileCharacters);
    }
    let mut found = Found::default();
    for line in file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        found.line(line)?;
    }
    let id = found.id.ok_or(if found.secret.is_some() { Error::TruncatedKeyFile } else { Error::NoKey })?;
    let secret = found.secret.ok_or(Error::TruncatedKeyFile)?;
    key(id, secret)
}

#[derive(Default)]
struct Found<'a> {
    id: Option<&'a [u8]>,
    secret: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), Error> {
        if let Some(id) = named(line, b"AWSAccessKeyId") {
            return put(&mut self.id, id);
        }
        if let Some(secret) = named(line, b"AWSSecretKey") {
            return put(&mut self.secret, secret);
        }
        let mut fields = line.splitn(3, |byte| *byte == b',').map(unquoted);
        let (first, second) = (fields.next().unwrap_or_default(), fields.next());
        if fields.next().is_some() {
            return Err(Error::KeyFileCharacters);
        }
        if first.eq_ignore_ascii_case(b"Access key ID") {
            return Ok(());
        }
        // What begins like a key id and has nothing behind it was cut; any other lone word is no key.
        let second =
            second.ok_or(if looks_like_id(first) { Error::TruncatedKeyFile } else { Error::NoKey })?;
        put(&mut self.id, first)?;
        put(&mut self.secret, second)
    }
}

fn put<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Error> {
    if value.is_empty() {
        return Err(Error::TruncatedKeyFile);
    }
    slot.replace(value).map_or(Ok(()), |_| Err(Error::SeveralKeys))
}

fn key(id: &[u8], secret: &[u8]) -> Result<(AccessKeyId, LongTermKey), Error> {
    if !looks_like_id(id) {
        return Err(Error::NotLongTerm);
    }
    // A line broken off within the id is as cut short as one broken off behind it.
    let id = str::from_utf8(id).ok().and_then(|id| id.parse().ok()).ok_or(Error::AccessKeyId)?;
    let base64 = secret.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    if !base64 || secret.len() > SECRET_LENGTH {
        return Err(Error::SecretKey);
    }
    if secret.len() < SECRET_LENGTH {
        return Err(Error::TruncatedKeyFile);
    }
    Ok((id, LongTermKey::copy_from(secret)))
}

fn looks_like_id(text: &[u8]) -> bool {
    text.starts_with(b"AKIA")
}

/// The value in `NAME=VALUE`, or in `NAME` alone.
fn named<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = unquoted(line).split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    match rest.trim_ascii_start() {
        [] => Some(&[]),
        [b'=', value @ ..] => Some(unquoted(value)),
        _ => None,
    }
}

fn unquoted(field: &[u8]) -> &[u8] {
    match field.trim_ascii() {
        [b'"', inner @ .., b'"'] => inner.trim_ascii(),
        field => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    #[track_caller]
    fn holds_the_key(file: impl AsRef<[u8]>) {
        let (id, secret) = read_csv(file.as_ref()).unwrap();
        assert_eq!(id.as_str(), ID);
        secret.with(|secret| assert_eq!(secret, SECRET.as_bytes()));
    }

    fn refused(file: impl AsRef<[u8]>) -> Error {
        read_csv(file.as_ref()).err().unwrap()
    }

    #[test]
    fn both_forms_are_read() {
        holds_the_key(format!("AWSAccessKeyId={ID}\r\nAWSSecretKey={SECRET}\r\n"));
        holds_the_key(format!("AWSSecretKey = {SECRET}\nawsaccesskeyid = {ID}"));
        holds_the_key(format!("\u{feff}AWSAccessKeyId=\"{ID}\"\n\n\nAWSSecretKey=\"{SECRET}\"\n\n"));
        holds_the_key(format!("Access key ID,Secret access key\r\n{ID},{SECRET}\r\n"));
        holds_the_key(format!("\u{feff}\"Access key ID\",\"Secret access key\"\n\"{ID}\",\"{SECRET}\""));
        holds_the_key(format!("\n  \nAccess key ID,Secret access key\n\n {ID} , {SECRET} \n\n"));
        holds_the_key(format!("{ID},{SECRET}"));
    }

    #[test]
    fn what_is_not_one_whole_key_is_refused() {
        assert_eq!(refused(""), Error::NoKey);
        assert_eq!(refused("\u{feff}\r\n"), Error::NoKey);
        assert_eq!(refused("Access key ID,Secret access key\n"), Error::NoKey);
        assert_eq!(refused("hello\n"), Error::NoKey);
        assert_eq!(refused(format!("{ID},{SECRET}\n{ID},{SECRET}\n")), Error::SeveralKeys);
        let old = format!("AWSAccessKeyId={ID}\nAWSSecretKey={SECRET}\n");
        assert_eq!(refused(old.repeat(2)), Error::SeveralKeys);
        assert_eq!(refused(format!("{old}{ID},{SECRET}\n")), Error::SeveralKeys);
        assert_eq!(
            refused(format!("Access key ID,Secret access key\n{ID},{SECRET},x")),
            Error::KeyFileCharacters
        );
        assert_eq!(refused(format!("{ID},{SECRET}\0")), Error::KeyFileCharacters);
        assert_eq!(refused(format!("{ID},é{SECRET}")), Error::KeyFileCharacters);
        assert_eq!(refused(vec![b'\n'; MAX_CSV + 1]), Error::KeyFileTooLarge);
        assert_eq!(refused(format!("ASIAIOSFODNN7EXAMPLE,{SECRET}")), Error::NotLongTerm);
        assert_eq!(refused(format!("{ID},{SECRET}A")), Error::SecretKey);
        assert_eq!(refused(format!("{ID},{}", SECRET.replace('/', "-"))), Error::SecretKey);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        for file in [
            format!("AWSAccessKeyId={ID}\nAWSSecretKey={SECRET}"),
            format!("Access key ID,Secret access key\n{ID},{SECRET}"),
            format!("\"{ID}\",\"{SECRET}\""),
        ] {
            for length in 0..file.len() {
                let error = refused(&file[..length]);
                assert!(!error.to_string().contains(&SECRET[..5]), "{error}");
            }
            holds_the_key(file);
        }
        assert_eq!(refused(format!("AWSAccessKeyId={ID}\nAWSSecretKey=")), Error::TruncatedKeyFile);
        assert_eq!(refused(format!("AWSAccessKeyId={ID}\n")), Error::TruncatedKeyFile);
        assert_eq!(refused(format!("{ID},{}", &SECRET[..39])), Error::TruncatedKeyFile);
        assert_eq!(refused(format!("{ID},")), Error::TruncatedKeyFile);
        assert_eq!(refused(ID), Error::TruncatedKeyFile);
    }
}
