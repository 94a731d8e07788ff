//! A signed request on its way from the daemon to the client. Whoever holds it can spend it, once, for a
//! few minutes, and it contains an MFA code: it is treated as a secret.

use super::Error;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The longest encoded form that is read, in bytes.
const MAX_ENCODED: usize = 64 * 1024;

/// Everything that a client needs to send it. No `Debug`, no `Clone`.
pub struct SignedRequest {
    method: String,
    url: String,
    headers: Vec<(String, Zeroizing<String>)>,
    body: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    method: &'a str,
    url: &'a str,
    #[serde(borrow)]
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl SignedRequest {
    pub(super) fn new(
        method: &str,
        url: String,
        headers: Vec<(String, Zeroizing<String>)>,
        body: Zeroizing<String>,
    ) -> Self {
        Self { method: method.to_owned(), url, headers, body }
    }

    /// The HTTP method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The whole URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The headers, in the order in which they should be sent; `host` is among them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The form that crosses the pipe: `{"method","url","headers":[[name,value],…],"body"}`.
    ///
    /// # Errors
    /// [`Error::SignedRequest`], when it would be too long to be read again.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let wire = Wire {
            method: &self.method,
            url: &self.url,
            headers: self.headers().collect(),
            body: &self.body,
        };
        // One allocation for all of it: a vector that grows leaves its former contents behind.
        let mut encoded = Zeroizing::new(Vec::with_capacity(MAX_ENCODED));
        serde_json::to_writer(&mut *encoded, &wire).map_err(|_never_fails| Error::SignedRequest)?;
        if encoded.len() > MAX_ENCODED { Err(Error::SignedRequest) } else { Ok(encoded) }
    }

    /// Reads the form that [`Self::encode`] writes. Nothing in it ever needs a JSON escape, and none is
    /// taken: unescaping would make copies.
    ///
    /// # Errors
    /// [`Error::SignedRequest`] for anything else.
    pub fn decode(encoded: &[u8]) -> Result<Self, Error> {
        if encoded.len() > MAX_ENCODED {
            return Err(Error::SignedRequest);
        }
        // The JSON error would quote what it found.
        let wire: Wire<'_> = serde_json::from_slice(encoded).map_err(|_quotes_input| Error::SignedRequest)?;
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let headers = wire.headers.into_iter().map(|(name, value)| (name.to_owned(), secret(value)));
        Ok(Self::new(wire.method, wire.url.to_owned(), headers.collect(), secret(wire.body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_crosses_the_pipe_unchanged() {
        let headers = vec![("host".to_owned(), Zeroizing::new("example.com".to_owned()))];
        let body = Zeroizing::new("A=b%20c&D=e".to_owned());
        let request = SignedRequest::new("POST", "https://example.com/".to_owned(), headers, body);
        let encoded = request.encode().unwrap();
        assert_eq!(
            str::from_utf8(&encoded).unwrap(),
            r#"{"method":"POST","url":"https://example.com/","headers":[["host","example.com"]],"body":"A=b%20c&D=e"}"#
        );
        let read = SignedRequest::decode(&encoded).unwrap();
        assert_eq!((read.method(), read.url(), read.body()), ("POST", "https://example.com/", "A=b%20c&D=e"));
        assert_eq!(read.headers().collect::<Vec<_>>(), [("host", "example.com")]);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "{}", "[]", r#"{"method":"POST","url":"u","headers":[],"body":"","more":1}"#] {
            assert_eq!(SignedRequest::decode(text.as_bytes()).err(), Some(Error::SignedRequest), "{text}");
        }
        assert!(SignedRequest::decode(&vec![b' '; MAX_ENCODED + 1]).is_err());
    }
}
