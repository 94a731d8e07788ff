//! A request body, `application/x-www-form-urlencoded`. It carries MFA codes, hence its memory is wiped.

use std::fmt::Write as _;
use zeroize::Zeroizing;

/// More than any request of the registry has, so that the text does not move and leave a copy behind.
const CAPACITY: usize = 4096;

/// A body under construction.
pub(in crate::aws) struct Form(Zeroizing<String>);

impl Form {
    pub(in crate::aws) const CONTENT_TYPE: &'static str = "application/x-www-form-urlencoded; charset=utf-8";

    pub(super) fn new(action: &str, version: &str) -> Self {
        let mut form = Self(Zeroizing::new(String::with_capacity(CAPACITY)));
        form.add("Action", action.as_bytes());
        form.add("Version", version.as_bytes());
        form
    }

    /// Adds a parameter; everything outside of RFC 3986's unreserved characters is percent-encoded.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                self.0.push(char::from(*byte));
            } else {
                let _never_fails = write!(*self.0, "%{byte:02X}");
            }
        }
    }

    pub(in crate::aws) fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stand_for_themselves() {
        let mut form = Form::new("A", "1");
        form.add("X", "a-._~&=+ /ü\r\n".as_bytes());
        assert_eq!(form.into_text().as_str(), "Action=A&Version=1&X=a-._~%26%3D%2B%20%2F%C3%BC%0D%0A");
    }
}
