//! What crosses about one-time codes and the tokens that make them.

use serde::Serialize;
use zbus::{DeserializeDict, SerializeDict, Type};

/// What `AddTotp` takes.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AddTotpOptions {
    /// `uri` or `base32`.
    pub format: String,
    /// The ARN of the virtual MFA device.
    pub mfa_serial: Option<String>,
    /// The tokens that the seed is to go to; none: the vault.
    pub on_token: Option<Vec<String>>,
    /// Into the vault as well.
    pub in_vault: Option<bool>,
    /// Whether codes of a token want a touch.
    pub touch: Option<bool>,
    /// The token to use.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
}

/// What `AddTotp` answers.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct AddTotpReply {
    /// The ARN the seed is kept under.
    pub mfa_serial: String,
    /// The seed has fewer than 128 bits.
    pub weak: bool,
}

/// What `GetTotp` takes.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct GetTotpOptions {
    /// Which device, where the account has several.
    pub mfa_serial: Option<String>,
    /// The token to use.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
}

/// What `RemoveTotp` takes.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RemoveTotpOptions {
    /// Which device, where the account has several.
    pub mfa_serial: Option<String>,
    /// The tokens whose copies are to go; none: all copies.
    pub from_token: Option<Vec<String>>,
    /// The token that consents.
    pub token: Option<String>,
    /// Why it is asked for.
    pub reason: Option<String>,
}

/// What `RemoveTotp` answers.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RemoveTotpReply {
    /// The tokens that a copy is left on.
    pub left_on: Vec<String>,
}

/// What `FindToken` takes.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct FindTokenOptions {
    /// Its id.
    pub token: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
}

/// What `SetOathPassword` takes.
#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "dict")]
pub struct OathPasswordOptions {
    /// The new one, to be read from here.
    pub password: Option<zbus::OwnedFd>,
    /// None any more.
    pub clear: Option<bool>,
}

/// A row of `OathAccounts`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct OathAccountRow {
    /// What it is called.
    pub name: String,
    /// `totp` or `hotp`.
    pub kind: String,
    /// The hash.
    pub algorithm: String,
    /// Seconds of a step; 0 of a counter.
    pub period: u32,
}

/// A row of `MfaDevices`.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct MfaDeviceRow {
    /// The account's name.
    pub account: String,
    /// The device's serial.
    pub mfa_serial: String,
    /// The vault has the seed.
    pub in_vault: bool,
    /// The tokens that have it.
    pub tokens: Vec<SeedCopyRow>,
}

/// A token that has a seed.
#[derive(Debug, DeserializeDict, Serialize, Type)]
#[zbus(signature = "dict")]
pub struct SeedCopyRow {
    /// What it was called when the seed came there.
    pub name: String,
    /// A code wants a touch.
    pub touch: bool,
}
