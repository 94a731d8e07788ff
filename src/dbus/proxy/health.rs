//! What crosses about the daemon's health.

use zbus::{DeserializeDict, Type};

/// A row of `Diagnose`.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct FindingRow {
    /// What it is about.
    pub about: String,
    /// `good`, `weak` or `bad`.
    pub health: String,
    /// What was found.
    pub text: String,
    /// What to do; may be empty.
    pub advice: String,
}
