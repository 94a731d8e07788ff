//! What can be wrong with names, key files, endpoints, requests and replies. No message holds a secret.

use std::fmt;

/// Why this room refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not twelve digits.
    #[error("an AWS account id is twelve digits")]
    AccountId,
    /// None of the partitions that are known.
    #[error("the partition is none of aws, aws-cn and aws-us-gov")]
    Partition,
    /// Not a region name, or one of another partition.
    #[error("this is no region of the partition {0}")]
    Region(&'static str),
    /// Not an access key id.
    #[error("this is no access key id: 16 to 128 of A-Z, 0-9 and _")]
    AccessKeyId,
    /// Neither an ARN of an MFA device nor a hardware serial number.
    #[error("this is neither the ARN of a virtual MFA device nor the serial number of a hardware one")]
    MfaSerial,
    /// An ARN of an MFA device, of some other account or partition.
    #[error("the MFA device belongs to another account")]
    ForeignMfaSerial,
    /// A session duration that STS would not grant.
    #[error("a session of this identity lasts between {min} and {max} seconds")]
    Duration {
        /// The shortest, in seconds.
        min: u32,
        /// The longest, in seconds.
        max: u32,
    },
    /// Not a one-time code of six or eight digits.
    #[error("an MFA code is six or eight digits")]
    MfaCode,

    /// More than [`super::MAX_CSV`] bytes.
    #[error("the key file is too large to be a rootkey.csv: at most 64 KiB are read")]
    KeyFileTooLarge,
    /// Bytes that no `rootkey.csv` has.
    #[error("the key file holds characters that no rootkey.csv has")]
    KeyFileCharacters,
    /// No key, or nothing that looks like one.
    #[error("there is no access key in the key file")]
    NoKey,
    /// More than one key.
    #[error("there are several access keys in the key file: leave one")]
    SeveralKeys,
    /// A line that ends too early.
    #[error("a line of the key file is cut short: the access key or its secret is missing")]
    TruncatedKeyFile,
    /// The id of a temporary key.
    #[error("the key file holds no long-term key: its id does not begin with AKIA")]
    NotLongTerm,
    /// A secret that is not 40 characters of base64's alphabet.
    #[error("the secret access key in the key file is damaged: it must be 40 letters, digits, + and /")]
    SecretKey,

    /// Not a plain `http(s)://host[:port]`.
    #[error("the endpoint is not a URL of the form https://host")]
    EndpointForm,
    /// https, to a host that is neither an STS endpoint of the partition nor allowed by the configuration.
    #[error(
        "the endpoint is no STS endpoint of the partition, and the daemon's allowed_endpoints do not name it"
    )]
    EndpointHost,
    /// Plain http that is not both on loopback and allowed by the configuration.
    #[error("plain http is only for loopback endpoints that the daemon's allowed_endpoints name")]
    PlainHttp,

    /// A time outside of what can be written.
    #[error("the clock is set to a time that cannot be written as a date")]
    Time,
    /// A signing key of another day (UTC).
    #[error("the signing key is of another day: start the operation again")]
    SignerExpired,
    /// A signing key for another region.
    #[error("the signing key is for another region than the endpoint's")]
    SignerRegion,
    /// Bytes that are no signed request of ours.
    #[error("the signed request from the daemon cannot be read")]
    SignedRequest,

    /// More than [`super::MAX_REPLY`] bytes.
    #[error("the reply is too large to be one of AWS")]
    ReplyTooLarge,
    /// Not XML, or XML with what no reply has.
    #[error("the reply is not what AWS sends: {0}")]
    ReplyForm(&'static str),
    /// A well-formed reply without something that it must have.
    #[error("the reply of AWS lacks {0}")]
    ReplyLacks(&'static str),
    /// An HTTP error without AWS's reason in it.
    #[error("AWS answered with HTTP status {0} and no reason")]
    Status(u16),
    /// AWS said no, and why.
    #[error("{0}")]
    Refused(#[source] AwsError),
}

/// What AWS answered instead of a result. Its words are untrusted: cleaned and cut, for people alone.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct AwsError {
    code: String,
    message: String,
}

/// The longest message that is passed on, in characters.
const MAX_MESSAGE: usize = 512;

impl AwsError {
    /// An error reply's content; a code that is none becomes `Unknown`.
    pub(super) fn new(code: &str, message: &str) -> Self {
        let code_like = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let known = (1..=64).contains(&code.len()) && code.chars().all(code_like);
        let printable = message.chars().map(|c| if deceives(c) { ' ' } else { c });
        Self {
            code: if known { code } else { "Unknown" }.to_owned(),
            message: printable.take(MAX_MESSAGE).collect::<String>().trim().to_owned(),
        }
    }

    /// AWS's error code, such as `AccessDenied`: letters, digits and dots.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// AWS's words, without control characters; may be empty.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.as_str(), self.code.as_str()) {
            ("", code) => write!(f, "AWS refused: {code}"),
            (message, code) => write!(f, "AWS refused ({code}): {message}"),
        }
    }
}

impl std::error::Error for AwsError {}

/// Control characters, and those that turn the writing direction on a terminal.
fn deceives(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_aws_are_cleaned_and_cut() {
        let error = AwsError::new("Access\nDenied", "\x1b[31mno\u{202e}\r\n");
        assert_eq!((error.code(), error.message()), ("Unknown", "[31mno"));
        assert_eq!(AwsError::new(&"A".repeat(65), "").code(), "Unknown");
        assert_eq!(AwsError::new("", "").to_string(), "AWS refused: Unknown");
        assert_eq!(AwsError::new("A.B1", &"ü".repeat(600)).message(), "ü".repeat(512));
    }
}
