//! What crosses: options, replies and rows, as `docs/dbus-api.md` has them.

use serde::Serialize;
use zbus::{DeserializeDict, OwnedObjectPath, SerializeDict, Type};

/// What `CreateVault` takes.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct CreateVaultOptions {
    /// What the keyslot is called.
    pub label: Option<String>,
    /// Whose keyslot it is.
    pub holder: Option<String>,
    /// The token to enrol.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
    /// PIV: the slot.
    pub slot: Option<String>,
    /// PIV: the algorithm of a key to be made.
    pub generate: Option<String>,
    /// PIV: the management key, hexadecimal, to be read from here.
    pub management_key: Option<zbus::OwnedFd>,
    /// A recovery code is to open it, too, and is written here.
    pub recovery: Option<zbus::OwnedFd>,
}

/// What `AddKeyslot` takes beside the label.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AddKeyslotOptions {
    /// Whose keyslot it is; none: the only holder's.
    pub holder: Option<String>,
    /// The token that consents.
    pub with: Option<String>,
    /// The token to enrol.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
    /// PIV: the slot.
    pub slot: Option<String>,
    /// PIV: the algorithm of a key to be made.
    pub generate: Option<String>,
    /// PIV: the management key, hexadecimal, to be read from here.
    pub management_key: Option<zbus::OwnedFd>,
    /// It is to be a recovery code, which is written here.
    pub recovery: Option<zbus::OwnedFd>,
}

/// What `Restore` takes beside the copy.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RestoreOptions {
    /// The tokens that consent.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
    /// Also over a later state that is sound.
    pub older: Option<bool>,
}

/// What `AddAccount` takes beside the name.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AddAccountOptions {
    /// Twelve digits.
    pub account_id: String,
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: Option<String>,
    /// An IAM user; none: root.
    pub user: Option<String>,
    /// The address the root user signs in with.
    pub email: Option<String>,
}

/// What `AddProfile` takes beside the name.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AddProfileOptions {
    /// The account's name.
    pub account: String,
    /// How long a session lasts, in seconds.
    pub duration: Option<u32>,
    /// The AWS region.
    pub region: Option<String>,
}

/// What `GetCredentials` takes beside the profile.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct CredentialsOptions {
    /// An STS endpoint URL.
    pub endpoint: Option<String>,
    /// The region, where the profile has none.
    pub region: Option<String>,
    /// Fail rather than ask for PIN or touch.
    pub no_prompt: Option<bool>,
    /// The token to use.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
}

/// What `GetCredentials` answers: exactly one of the two is there.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct CredentialsReply {
    /// When the session written into `out` ends, in seconds since 1970.
    pub expiration: Option<u64>,
    /// The operation that will bring a session.
    pub operation: Option<OwnedObjectPath>,
}

/// What `Finish` answers.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct FinishReply {
    /// When the session written into `out` ends, in seconds since 1970.
    pub expiration: u64,
}

/// What `Unlock` and all else takes that needs a token and nothing more.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct TokenOptions {
    /// The token to use; where it is not named, the only suitable one.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
}

/// What `Check` answers.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct CheckReply {
    /// The file's generation.
    pub generation: u64,
    /// How many items were verified.
    pub items: u32,
}

/// A row of `Accounts`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct AccountRow {
    /// The name.
    pub name: String,
    /// Twelve digits.
    pub account_id: String,
    /// The partition.
    pub partition: String,
    /// The IAM user; empty: root.
    pub user: String,
    /// The address the root user signs in with; may be empty.
    pub email: String,
    /// When it was added, in seconds since 1970.
    pub created: u64,
    /// The access key ids sealed under it.
    pub access_keys: Vec<String>,
    /// The serials of the MFA devices whose seeds are sealed under it.
    pub mfa: Vec<String>,
}

/// A row of `Profiles`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct ProfileRow {
    /// The name.
    pub name: String,
    /// The account's name.
    pub account: String,
    /// The account's id.
    pub account_id: String,
    /// What is asked of STS.
    pub request: String,
    /// How long a session lasts, in seconds.
    pub duration: u32,
    /// The region; may be empty.
    pub region: String,
}

/// A row of `Tokens`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct TokenRow {
    /// What `--token` takes.
    pub id: String,
    /// `fido`, `piv`, `otp_hmac`.
    pub kind: String,
    /// What it is called.
    pub label: String,
    /// The serial number; may be empty.
    pub serial: String,
    /// A token in software.
    #[zbus(rename = "virtual")]
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    /// It opens this vault.
    pub enrolled: bool,
    /// It wants a PIN.
    pub needs_pin: bool,
    /// When it wants to be touched: `always`, `cached`, `never`, `unknown`.
    pub touch: String,
}

/// A row of `TokenProblems`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct TokenProblemRow {
    /// What it is, for programs.
    pub code: String,
    /// A device node, a socket, the number of a reader; may be empty.
    pub place: String,
    /// What it means and what to do.
    pub text: String,
}

impl std::fmt::Display for TokenProblemRow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.place.is_empty() {
            write!(formatter, "{}: ", self.place)?;
        }
        formatter.write_str(&self.text)
    }
}

/// A keyslot, from the vault's `Keyslots` property.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct KeyslotRow {
    /// The keyslot's id.
    pub id: String,
    /// Whose it is.
    pub holder: String,
    /// What it is called.
    pub label: String,
    /// The token's kind.
    pub kind: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Its token is plugged in.
    pub present: bool,
    /// When it was last proved on this machine that its token opens it, in seconds since 1970; 0: never.
    pub proved: u64,
    /// `none`, `self` or `rooted`: how far it is proved that its key was made in its token.
    pub attested: String,
}

/// What `CheckKeyslot` proved.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct CheckedRow {
    /// The keyslot's id.
    pub id: String,
    /// What it is called.
    pub label: String,
    /// Whose it is.
    pub holder: String,
    /// Whether it opens the guard lock, too.
    pub guard: bool,
}

/// The vault's properties.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct VaultProperties {
    /// `absent`, `locked`, `unlocked` or `damaged`.
    pub state: String,
    /// What is damaged.
    pub problem: String,
    /// The file.
    pub path: String,
    /// The file's generation.
    pub generation: u64,
    /// Holders needed to unlock, and for the guard lock.
    pub thresholds: (u32, u32),
    /// When the vault locks itself; 0: never.
    pub lock_deadline: u64,
    /// Its keyslots.
    pub keyslots: Vec<KeyslotRow>,
}

/// The manager's properties.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct ManagerProperties {
    /// The daemon's version.
    pub version: String,
}

/// An account's properties.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct AccountProperties {
    /// The name.
    pub name: String,
    /// Twelve digits.
    pub account_id: String,
    /// The partition.
    pub partition: String,
    /// The IAM user; empty: root.
    pub user: String,
    /// The address the root user signs in with; may be empty.
    pub email: String,
    /// The access key ids sealed under it.
    #[serde(rename = "access_keys")]
    pub access_key_ids: Vec<String>,
    /// The serials of its MFA devices.
    #[serde(rename = "mfa")]
    pub mfa_serials: Vec<String>,
}

/// What the daemon says in `RequestPin`.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PinRequest {
    /// The prompt's number.
    pub prompt: u64,
    /// The token's id.
    pub token: String,
    /// `pin`, `oath-password` or `recovery-code`; a PIN where it is not said.
    pub secret: Option<String>,
    /// What it is called.
    pub label: String,
    /// Why.
    pub text: String,
    /// Tries left.
    pub retries: u32,
    /// The PIN given before was wrong.
    pub failed: bool,
    /// When asking ends, in seconds since 1970.
    pub deadline: u64,
}

impl PinRequest {
    /// Whether the password of a token's OATH accounts is asked for, and not a PIN.
    pub fn is_oath_password(&self) -> bool {
        self.secret.as_deref() == Some("oath-password")
    }

    /// Whether the recovery code is asked for.
    pub fn is_recovery_code(&self) -> bool {
        self.secret.as_deref() == Some("recovery-code")
    }
}

/// What the daemon says in `RequestTouch`.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct TouchRequest {
    /// The prompt's number.
    pub prompt: u64,
    /// The token's id.
    pub token: String,
    /// What it is called.
    pub label: String,
    /// Why.
    pub text: String,
    /// Whether the token will wait for a touch.
    pub touch: bool,
    /// When waiting ends, in seconds since 1970.
    pub deadline: u64,
}

/// What the `Prompt` signal carries, as far as a client shows it.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PromptSignal {
    /// The prompt's number.
    pub prompt: u64,
    /// `pin`, `touch` or `wait`.
    pub kind: String,
    /// What is wanted.
    pub text: String,
    /// When it ends, in seconds since 1970.
    pub deadline: u64,
}
