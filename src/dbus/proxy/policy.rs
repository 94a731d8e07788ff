//! What crosses about the policy.

use serde::Serialize;
use zbus::{DeserializeDict, SerializeDict, Type};

/// What `Change` takes: what is not given stays.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PolicyRules {
    /// Whether a reason is demanded.
    pub demand_reason: Option<bool>,
    /// When sessions and codes may be had; empty: always.
    pub hours_utc: Option<Vec<String>>,
    /// Seconds that a session lasts at most; 0: any.
    pub longest_session: Option<u32>,
    /// Who may unlock; empty: anybody.
    pub unlock_uids: Option<Vec<u32>>,
    /// Who may get sessions and codes.
    pub use_uids: Option<Vec<u32>>,
    /// Who may change the vault.
    pub manage_uids: Option<Vec<u32>>,
}

/// One of the two policies.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct PolicyRow {
    /// Whether a reason is demanded.
    pub demand_reason: bool,
    /// When sessions and codes may be had; empty: always.
    pub hours_utc: Vec<String>,
    /// Seconds that a session lasts at most; 0: any.
    pub longest_session: u32,
    /// Who may unlock; empty: anybody.
    pub unlock_uids: Vec<u32>,
    /// Who may get sessions and codes.
    pub use_uids: Vec<u32>,
    /// Who may change the vault.
    pub manage_uids: Vec<u32>,
}

/// The properties of `org.rootseal.Policy1`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct PolicyProperties {
    /// That of the vault's holders.
    pub vault: PolicyRow,
    /// That of the daemon's configuration.
    pub machine: PolicyRow,
}
