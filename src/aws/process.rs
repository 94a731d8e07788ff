//! What `credential_process` prints (AWS SDKs and tools reference guide, "Process credential provider").

use super::{AccessKeyId, AccountId, Error, time};
use crate::secret::SessionCredentials;
use zeroize::Zeroizing;

/// Both halves of a key, and the token that makes it a session's.
pub struct KeyPair<'a> {
    /// The public half.
    pub id: &'a AccessKeyId,
    /// The secret half.
    pub secret: &'a [u8],
    /// The session token; `None` for a long-term key.
    pub session_token: Option<&'a [u8]>,
}

/// Writes the JSON. What is `None` is left out: SDKs take an empty `SessionToken` for a token, and one
/// without `Expiration` is never refreshed. `expiration` is in Unix seconds.
///
/// # Errors
/// [`Error::ReplyForm`] for a secret or a token with characters that no key has, [`Error::Time`] for a time
/// beyond the calendar.
pub fn credential_process(
    key: &KeyPair<'_>,
    expiration: Option<u64>,
    account: Option<AccountId>,
) -> Result<SessionCredentials, Error> {
    let expiration = expiration.map(time::rfc3339).transpose()?;
    let fields = [
        ("AccessKeyId", Some(key.id.as_str().as_bytes())),
        ("SecretAccessKey", Some(key.secret)),
        ("SessionToken", key.session_token),
        ("Expiration", expiration.as_deref().map(str::as_bytes)),
        ("AccountId", account.as_ref().map(|account| account.as_str().as_bytes())),
    ];
    let fields = fields.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
    let room = fields.clone().fold(64_usize, |room, (name, value)| {
        room.saturating_add(name.len()).saturating_add(value.len()).saturating_add(6)
    });
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    json.extend_from_slice(br#"{"Version":1"#);
    for (name, value) in fields {
        // Keys and tokens are base64 or near it; with these alone, nothing needs a JSON escape.
        if value.is_empty() || value.iter().any(|byte| !matches!(byte, b'!'..=b'~') || b"\"\\".contains(byte))
        {
            return Err(Error::ReplyForm("a key or token has characters that none can have"));
        }
        for part in [b",\"", name.as_bytes(), b"\":\"", value, b"\""] {
            json.extend_from_slice(part);
        }
    }
    json.push(b'}');
    Ok(SessionCredentials::copy_from(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        secret: &str,
        token: Option<&str>,
        expiration: Option<u64>,
        account: Option<&str>,
    ) -> Result<String, Error> {
        let id = "ASIAIOSFODNN7EXAMPLE".parse().unwrap();
        let key = KeyPair { id: &id, secret: secret.as_bytes(), session_token: token.map(str::as_bytes) };
        let account = account.map(|account| account.parse().unwrap());
        credential_process(&key, expiration, account)
            .map(|json| json.with(|json| String::from_utf8(json.to_vec()).unwrap()))
    }

    #[test]
    fn the_json_is_exact() {
        assert_eq!(
            written("a/b+c", Some("t=="), Some(1_440_938_160), Some("111122223333")).unwrap(),
            r#"{"Version":1,"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"a/b+c","SessionToken":"t==","Expiration":"2015-08-30T12:36:00Z","AccountId":"111122223333"}"#
        );
        assert_eq!(
            written("s", None, None, None).unwrap(),
            r#"{"Version":1,"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"s"}"#
        );
    }

    #[test]
    fn nothing_can_break_out_of_the_json() {
        for secret in ["", "a\"b", "a\\b", "a b", "a\nb", "ü", "a\u{7f}"] {
            assert!(written(secret, None, None, None).is_err(), "{secret}");
            assert!(written("s", Some(secret), None, None).is_err(), "{secret}");
        }
    }
}
