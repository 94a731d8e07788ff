//! The client's view of the API (`docs/dbus-api.md`): proxies and the shapes that cross.
//!
//! Nothing here introspects or caches properties, so that a call costs one message and no more.

mod audit;
mod codes;
mod drill;
mod health;
mod policy;
mod shapes;

pub use audit::{AuditProperties, ReadAuditOptions, VerifyReply};
pub use codes::{
    AddTotpOptions, AddTotpReply, FindTokenOptions, GetTotpOptions, MfaDeviceRow, OathAccountRow,
    OathPasswordOptions, RemoveTotpOptions, RemoveTotpReply, SeedCopyRow,
};
pub use drill::{DrillProperties, DrillReply, DrillSlotRow};
pub use health::FindingRow;
pub use policy::{PolicyProperties, PolicyRow, PolicyRules};
pub use shapes::{
    AccountProperties, AccountRow, AddAccountOptions, AddKeyslotOptions, AddProfileOptions, CheckReply,
    CheckedRow, CreateVaultOptions, CredentialsOptions, CredentialsReply, FinishReply, KeyslotRow,
    ManagerProperties, PinRequest, ProfileRow, PromptSignal, RestoreOptions, TokenOptions, TokenProblemRow,
    TokenRow, TouchRequest, VaultProperties,
};

use zbus::{Fd, OwnedFd, OwnedObjectPath};

/// `org.rootseal.Manager1`.
#[zbus::proxy(
    interface = "org.rootseal.Manager1",
    default_service = "org.rootseal.Daemon",
    default_path = "/org/rootseal"
)]
pub trait Manager1 {
    /// Makes a vault and the first keyslot.
    fn create_vault(&self, options: CreateVaultOptions) -> zbus::Result<()>;
    /// Adds an account.
    fn add_account(&self, name: &str, options: AddAccountOptions) -> zbus::Result<OwnedObjectPath>;
    /// The account of that name.
    fn find_account(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    /// Removes an account with all that it holds.
    fn remove_account(&self, name: &str, options: TokenOptions) -> zbus::Result<()>;
    /// All accounts.
    fn accounts(&self) -> zbus::Result<Vec<AccountRow>>;
    /// Adds a profile.
    fn add_profile(&self, name: &str, options: AddProfileOptions) -> zbus::Result<()>;
    /// Removes a profile.
    fn remove_profile(&self, name: &str) -> zbus::Result<()>;
    /// All profiles.
    fn profiles(&self) -> zbus::Result<Vec<ProfileRow>>;
    /// All tokens.
    fn tokens(&self) -> zbus::Result<Vec<TokenRow>>;
    /// Why there is no token, or not the one that is expected.
    fn token_problems(&self) -> zbus::Result<Vec<TokenProblemRow>>;
    /// The token of that id, or the only one of that kind.
    fn find_token(&self, options: FindTokenOptions) -> zbus::Result<OwnedObjectPath>;
    /// All MFA devices.
    fn mfa_devices(&self) -> zbus::Result<Vec<MfaDeviceRow>>;
    /// A session from the cache, or the operation that brings one.
    fn get_credentials(
        &self,
        profile: &str,
        options: CredentialsOptions,
        out: Fd<'_>,
    ) -> zbus::Result<CredentialsReply>;
    /// Says that `org.rootseal.Agent1` is served at `path` on this connection, for this connection's requests.
    fn register_own_agent(&self, path: &zbus::ObjectPath<'_>) -> zbus::Result<()>;
    /// The same, for all requests of this user.
    fn register_agent(&self, path: &zbus::ObjectPath<'_>) -> zbus::Result<()>;
    /// Refuses a prompt that this connection's agent shows.
    fn refuse(&self, prompt: u64) -> zbus::Result<()>;
}

/// `org.rootseal.Vault1`.
#[zbus::proxy(
    interface = "org.rootseal.Vault1",
    default_service = "org.rootseal.Daemon",
    default_path = "/org/rootseal/vault"
)]
pub trait Vault1 {
    /// Opens the unlock lock.
    fn unlock(&self, options: TokenOptions) -> zbus::Result<()>;
    /// Forgets the unlock key and every cached session.
    fn lock(&self) -> zbus::Result<()>;
    /// Enrols a further token; the keyslot's id is returned.
    fn add_keyslot(&self, label: &str, options: AddKeyslotOptions) -> zbus::Result<String>;
    /// Removes a keyslot, and makes new keys.
    fn remove_keyslot(&self, id: &str, options: TokenOptions) -> zbus::Result<()>;
    /// Gives a keyslot another name.
    fn relabel_keyslot(&self, id: &str, label: &str) -> zbus::Result<()>;
    /// Proves that a keyslot opens its locks; an empty id: the one whose token is connected.
    fn check_keyslot(&self, id: &str, options: TokenOptions) -> zbus::Result<CheckedRow>;
    /// Makes new keys.
    fn rekey(&self, options: TokenOptions) -> zbus::Result<()>;
    /// Sets how many holders each lock needs.
    fn set_thresholds(&self, unlock: u32, guard: u32, options: TokenOptions) -> zbus::Result<()>;
    /// The file, sealed as ever.
    fn backup(&self) -> zbus::Result<OwnedFd>;
    /// Puts a copy of the file in its place.
    fn restore(&self, options: RestoreOptions, input: Fd<'_>) -> zbus::Result<()>;
    /// Reads the file again and verifies it.
    fn check(&self) -> zbus::Result<CheckReply>;
}

/// `org.rootseal.Health1`.
#[zbus::proxy(
    interface = "org.rootseal.Health1",
    default_service = "org.rootseal.Daemon",
    default_path = "/org/rootseal"
)]
pub trait Health1 {
    /// What the daemon finds about itself.
    fn diagnose(&self) -> zbus::Result<Vec<FindingRow>>;
}

/// `org.rootseal.Drill1`.
#[zbus::proxy(
    interface = "org.rootseal.Drill1",
    default_service = "org.rootseal.Daemon",
    default_path = "/org/rootseal/vault"
)]
pub trait Drill1 {
    /// From now on, what is proved counts.
    fn begin(&self) -> zbus::Result<()>;
    /// Opens a copy of the file; its generation is returned.
    fn check_backup(&self, options: TokenOptions, input: Fd<'_>) -> zbus::Result<u64>;
    /// Writes down what was proved.
    fn finish(&self, options: TokenOptions) -> zbus::Result<DrillReply>;
}

/// `org.rootseal.Policy1`.
#[zbus::proxy(
    interface = "org.rootseal.Policy1",
    default_service = "org.rootseal.Daemon",
    default_path = "/org/rootseal/vault"
)]
pub trait Policy1 {
    /// Lays down other rules in the vault.
    fn change(&self, rules: PolicyRules, options: TokenOptions) -> zbus::Result<()>;
}

/// `org.rootseal.Audit1`.
#[zbus::proxy(
    interface = "org.rootseal.Audit1",
    default_service = "org.rootseal.Daemon",
    default_path = "/org/rootseal"
)]
pub trait Audit1 {
    /// The lines of the log that fit.
    fn read(&self, options: ReadAuditOptions) -> zbus::Result<OwnedFd>;
    /// Verifies all of it.
    fn verify(&self) -> zbus::Result<VerifyReply>;
}

/// `org.rootseal.Account1`.
#[zbus::proxy(
    interface = "org.rootseal.Account1",
    default_service = "org.rootseal.Daemon",
    assume_defaults = false
)]
pub trait Account1 {
    /// Seals an access key from a `rootkey.csv`; its id is returned.
    fn import_access_key(&self, options: TokenOptions, input: Fd<'_>) -> zbus::Result<String>;
    /// Seals a TOTP seed.
    fn add_totp(&self, options: AddTotpOptions, input: Fd<'_>) -> zbus::Result<AddTotpReply>;
    /// A code that has not been given out yet; until when it is valid is returned.
    fn get_totp(&self, options: GetTotpOptions, out: Fd<'_>) -> zbus::Result<u64>;
    /// Removes a seed.
    fn remove_totp(&self, options: RemoveTotpOptions) -> zbus::Result<RemoveTotpReply>;
}

/// `org.rootseal.Token1`.
#[zbus::proxy(
    interface = "org.rootseal.Token1",
    default_service = "org.rootseal.Daemon",
    assume_defaults = false
)]
pub trait Token1 {
    /// The OATH accounts on it.
    fn oath_accounts(&self) -> zbus::Result<Vec<OathAccountRow>>;
    /// Renames one.
    fn rename_oath(&self, name: &str, new_name: &str) -> zbus::Result<()>;
    /// Removes one.
    fn remove_oath(&self, name: &str) -> zbus::Result<()>;
    /// Sets their password, or takes it away.
    fn set_oath_password(&self, options: OathPasswordOptions) -> zbus::Result<()>;
}

/// `org.rootseal.Operation1`.
#[zbus::proxy(
    interface = "org.rootseal.Operation1",
    default_service = "org.rootseal.Daemon",
    assume_defaults = false
)]
pub trait Operation1 {
    /// The signed request.
    fn next(&self) -> zbus::Result<OwnedFd>;
    /// Brings the answer; the result goes into `out`.
    fn finish(&self, status: u16, response: Fd<'_>, out: Fd<'_>) -> zbus::Result<FinishReply>;
    /// Gives up.
    fn abort(&self, reason: &str) -> zbus::Result<()>;
}
