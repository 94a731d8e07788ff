//! One record and its place in the chain.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// What the service has to say about one request; the log adds number, time and chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// The token that was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A line of the log: an entry, which is borrowed where it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Record<E> {
    pub(super) seq: u64,
    #[serde(flatten)]
    pub(super) entry: E,
    /// Hash of the line before; zeros for the first.
    pub(super) prev: String,
}

/// The hash that the next record carries: SHA-256 over the whole line without its line feed, in hex.
pub(super) fn chain_hash(line: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(line).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

/// What the first record carries in place of a hash.
pub(super) fn chain_start() -> String {
    "0".repeat(64)
}
