//! Names that AWS gives: account ids, access key ids, MFA serial numbers. Each is checked where it enters,
//! so that none can carry anything into a request, a header or a prompt.

use super::{Error, Partition};
use std::fmt;
use std::str::FromStr;

/// Twelve digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId([u8; 12]);

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// For people: `1111-2222-3333`.
    pub fn grouped(&self) -> String {
        let groups: Vec<&str> = self.0.chunks(4).filter_map(|group| str::from_utf8(group).ok()).collect();
        groups.join("-")
    }
}

impl FromStr for AccountId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.as_bytes().try_into().ok().filter(|_| digits).map(Self).ok_or(Error::AccountId)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The public half of an access key: 16 to 128 of `A-Z`, `0-9`, `_` (IAM API reference, `AccessKey`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessKeyId(String);

impl AccessKeyId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key is a long-term one (IAM user guide, "unique ID prefixes").
    pub fn is_long_term(&self) -> bool {
        self.0.starts_with("AKIA")
    }
}

impl FromStr for AccessKeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if (16..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::AccessKeyId)
        }
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What names an MFA device that gives codes: a virtual one's ARN, or a hardware one's serial number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MfaSerial(String);

impl MfaSerial {
    /// The name that the root user's virtual device has unless its owner chose another.
    pub fn root_default(partition: Partition, account: AccountId) -> Self {
        Self(format!("{}root-account-mfa-device", device_prefix(partition, account)))
    }

    /// Checks a serial number that is said to be of `account`.
    ///
    /// # Errors
    /// [`Error::ForeignMfaSerial`] for an ARN of another account or partition, [`Error::MfaSerial`] for
    /// anything else that is neither; FIDO devices (`:u2f/`) are among that: they give no codes.
    pub fn parse(text: &str, partition: Partition, account: AccountId) -> Result<Self, Error> {
        // IAM API reference, `SerialNumber`: 9 to 256 of [\w+=/:,.@-].
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=/:,.@-".contains(&byte);
        if !(9..=256).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(Error::MfaSerial);
        }
        let of = device_prefix(partition, account);
        if text.strip_prefix(&of).is_some_and(|name| !name.is_empty() && !name.contains(':')) {
            return Ok(Self(text.to_owned()));
        }
        if text.starts_with("arn:") {
            let device = text.splitn(6, ':').last().is_some_and(|resource| resource.starts_with("mfa/"));
            return Err(if device && !text.starts_with(&of) {
                Error::ForeignMfaSerial
            } else {
                Error::MfaSerial
            });
        }
        let hardware = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if hardware { Ok(Self(text.to_owned())) } else { Err(Error::MfaSerial) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MfaSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn device_prefix(partition: Partition, account: AccountId) -> String {
    format!("arn:{}:iam::{account}:mfa/", partition.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    #[test]
    fn an_account_id_is_twelve_digits() {
        assert_eq!(account().to_string(), "111122223333");
        assert_eq!(account().grouped(), "1111-2222-3333");
        for text in ["", "11112222333", "1111222233334", "1111-2222-3333", "11112222333x", "１１１１"] {
            assert_eq!(text.parse::<AccountId>(), Err(Error::AccountId), "{text}");
        }
    }

    #[test]
    fn an_access_key_id_carries_nothing_else() {
        assert!("AKIAIOSFODNN7EXAMPLE".parse::<AccessKeyId>().unwrap().is_long_term());
        assert!(!"ASIAIOSFODNN7EXAMPLE".parse::<AccessKeyId>().unwrap().is_long_term());
        let long = "A".repeat(129);
        for text in
            ["", "AKIASHORT", "akiaiosfodnn7example", "AKIAIOSFODNN7EXAMPL\n", "AKIAIOSFODNN7/XAMPLE", &long]
        {
            assert_eq!(text.parse::<AccessKeyId>(), Err(Error::AccessKeyId), "{text}");
        }
    }

    #[test]
    fn an_mfa_serial_is_of_its_account() {
        let parse = |text: &str| MfaSerial::parse(text, Partition::Aws, account());
        let default = "arn:aws:iam::111122223333:mfa/root-account-mfa-device";
        assert_eq!(MfaSerial::root_default(Partition::Aws, account()).as_str(), default);
        for text in [default, "arn:aws:iam::111122223333:mfa/team/alice@example.com", "GAHT12345678"] {
            assert_eq!(parse(text).unwrap().as_str(), text);
        }
        for text in [
            "arn:aws:iam::444455556666:mfa/root-account-mfa-device",
            "arn:aws-cn:iam::111122223333:mfa/root-account-mfa-device",
        ] {
            assert_eq!(parse(text), Err(Error::ForeignMfaSerial), "{text}");
        }
        for text in [
            "",
            "short",
            "arn:aws:iam::111122223333:mfa/",
            "arn:aws:iam::111122223333:u2f/user/alice/key",
            "arn:aws:iam::111122223333:mfa/a&b",
            "arn:aws:iam::111122223333:mfa/a b",
            "GAHT1234/5678",
        ] {
            assert_eq!(parse(text), Err(Error::MfaSerial), "{text}");
        }
    }
}
