//! One record and its place in the chain.

use crate::crypto::hash::sha256;
use serde::{Deserialize, Serialize};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// The secret, or what was made with it, goes out.
    Granted,
    /// Refused, by policy, by a person or by the token.
    Refused,
    /// Neither: something failed on the way.
    Failed,
}

/// What the service has to say about one request; the log adds number and chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970-01-01 UTC, by the daemon's clock.
    pub time: u64,
    /// What was asked for: `unlock`, `totp-code`, `session-cached`…
    pub event: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or failed: the name of an error of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of refusals in a row that are told by one record: how many they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The time of the first of them; [`Self::time`] is the last one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The caller's user id, as the kernel says.
    pub uid: u32,
    /// The caller's process id, as the kernel said when it connected.
    pub pid: u32,
    /// What the caller's executable claims to be: a hint, never proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says_it_is: Option<String>,
    /// What it was about: account, profile, duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Why the caller wanted it, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The token that was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What of the log itself was found to be lost or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
}

impl Entry {
    /// An entry that says who, when and how it ended.
    pub fn new(time: u64, event: &str, outcome: Outcome, uid: u32, pid: u32) -> Self {
        Self {
            time,
            event: event.to_owned(),
            outcome,
            reason: None,
            count: None,
            since: None,
            uid,
            pid,
            says_it_is: None,
            what: None,
            why: None,
            token: None,
            lost: None,
        }
    }
}

/// A log that does not hold what the vault has sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The first record that is gone or cannot be believed any more.
    pub from: u64,
    /// What the vault has sealed: the number of a record…
    pub seq: u64,
    /// … and its hash.
    pub head: String,
}

/// Begins the MACs of the records from this one on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    /// The vault's id.
    pub(super) vault: String,
    /// Its key epoch.
    pub(super) epoch: u64,
    /// Random, for the first key.
    pub(super) salt: String,
}

/// A line of the log: an entry, which is borrowed where it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Record<E> {
    pub(super) seq: u64,
    #[serde(flatten)]
    pub(super) entry: E,
    /// The number of the file that was full: this record is the first of the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Opening>,
    /// Hash of the line before; zeros for the first.
    pub(super) prev: String,
    /// Comes last, and is over all that stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mac: Option<String>,
}

/// A place in the chain: the number of a record, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// 1, 2, 3 …; 0 before the first record.
    pub seq: u64,
    /// SHA-256 of the whole line without its line feed; zeros before the first record.
    pub head: [u8; 32],
}

impl Anchor {
    /// Where a chain begins.
    pub const START: Self = Self { seq: 0, head: [0; 32] };

    /// The hash as the log writes it.
    pub fn hex(&self) -> String {
        hex(&self.head)
    }

    /// The place after `line`.
    pub(super) fn after(self, line: &[u8]) -> Self {
        Self { seq: self.seq.saturating_add(1), head: sha256(&[line]) }
    }
}

const BEFORE_MAC: &[u8] = b",\"mac\":\"";

/// Puts `mac` behind the last member of a line's object.
pub(super) fn add_mac(line: &mut Vec<u8>, mac: &[u8; 32]) {
    line.pop();
    line.extend_from_slice(BEFORE_MAC);
    line.extend_from_slice(hex(mac).as_bytes());
    line.extend_from_slice(b"\"}");
}

/// The line as it was before [`add_mac`], without its last brace.
pub(super) fn before_mac(line: &[u8]) -> Option<&[u8]> {
    let (body, mac) = line.strip_suffix(b"\"}")?.split_last_chunk::<64>()?;
    mac.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    body.strip_suffix(BEFORE_MAC)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

/// 32 bytes in lower-case hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_comes_off_as_it_went_on() {
        let mut line = b"{\"seq\":1}".to_vec();
        assert_eq!(before_mac(&line), None);
        add_mac(&mut line, &[0xab; 32]);
        assert_eq!(line, format!("{{\"seq\":1,\"mac\":\"{}\"}}", "ab".repeat(32)).into_bytes());
        assert_eq!(before_mac(&line), Some(&b"{\"seq\":1"[..]));
        line.push(b' ');
        assert_eq!(before_mac(&line), None);
    }

    #[test]
    fn hexadecimal_digits_are_lower_case_and_all_there() {
        assert_eq!(unhex(&hex(&[0x5a; 32])), Some([0x5a; 32]));
        for wrong in ["", "5a", &"5A".repeat(32), &"5a".repeat(33), &"5".repeat(63), &"+a".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
