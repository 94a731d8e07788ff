//! What crosses about the audit log.

use serde::Serialize;
use zbus::{DeserializeDict, SerializeDict, Type};

/// What `Read` takes: all that is given must fit.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct ReadAuditOptions {
    /// From then on.
    pub since: Option<u64>,
    /// Up to then.
    pub until: Option<u64>,
    /// Of this event.
    pub event: Option<String>,
    /// `granted`, `refused`, `failed`
    pub outcome: Option<String>,
    /// About this account.
    pub account: Option<String>,
    /// Of this user.
    pub uid: Option<u32>,
    /// The last ones alone.
    pub last: Option<u32>,
}

/// What `Verify` came to.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct VerifyReply {
    /// Whether nothing is wrong.
    pub intact: bool,
    /// The first record that is there.
    pub first: u64,
    /// The last one that was believed.
    pub last: u64,
    /// Its hash.
    pub head: String,
    /// How many MACs were verified.
    pub macs_verified: u64,
    /// How many could not be.
    pub macs_unverified: u64,
    /// Whether the vault was open, for its keys and what it has sealed.
    pub with_vault: bool,
    /// The first bad record; 0: none.
    pub bad_record: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// The properties of `org.rootseal.Audit1`.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct AuditProperties {
    /// What its user should know about the log.
    pub warnings: Vec<String>,
}
