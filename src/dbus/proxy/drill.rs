//! What crosses about drills.

use serde::Serialize;
use zbus::{DeserializeDict, Type};

/// What `Finish` answers. Times in seconds since 1970.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct DrillReply {
    /// The vault's id.
    pub vault: String,
    /// Its generation.
    pub generation: u64,
    /// The epoch of its keys.
    pub epoch: u64,
    /// All its keyslots.
    pub keyslots: Vec<DrillSlotRow>,
    /// When a backup was opened; 0: none was.
    pub backup_checked: u64,
    /// Its generation.
    pub backup_generation: u64,
    /// Whether everything was proved.
    pub complete: bool,
    /// When it ended.
    pub ended: u64,
}

/// A keyslot in a drill.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct DrillSlotRow {
    /// The keyslot's id.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Whose it is.
    pub holder: String,
    /// The kind of its token.
    pub kind: String,
    /// When it was proved; 0: it was not.
    pub proved: u64,
}

/// The properties of `org.rootseal.Drill1`.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct DrillProperties {
    /// When one last proved everything; 0: never.
    pub last: u64,
    /// When the next one is due; 0: none is.
    pub due: u64,
}
