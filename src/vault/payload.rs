//! What a record holds.

use super::cbor::{Malformed, Reader, Writer};
use super::names::{self, LONG, SHORT};
use super::{Account, ItemKind, VaultError};
use crate::secret::{LongTermKey, TotpSeed};
use zeroize::Zeroizing;

/// Bytes of the longest name that an OATH application has for itself.
const DEVICE: usize = 64;

/// An opened record. Whose secret it is stands in the record itself, so that the index, which a holder
/// of the unlock key can rewrite, does not have to be believed.
pub enum Payload {
    /// A long-term AWS access key.
    AccessKey {
        /// AWS's account id: twelve digits.
        account_id: String,
        /// `aws`, `aws-cn` or `aws-us-gov`.
        partition: String,
        /// The IAM user; the root user where there is none.
        user: Option<String>,
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret: LongTermKey,
    },
    /// A TOTP seed (RFC 6238).
    Totp {
        /// AWS's account id: twelve digits.
        account_id: String,
        /// `aws`, `aws-cn` or `aws-us-gov`.
        partition: String,
        /// The IAM user; the root user where there is none.
        user: Option<String>,
        /// The MFA device's serial: an ARN.
        mfa_serial: String,
        /// The seed, raw.
        seed: TotpSeed,
        /// `SHA1`, `SHA256` or `SHA512`.
        algorithm: String,
        /// Digits of a code.
        digits: u64,
        /// Seconds that a code lasts.
        period: u64,
    },
    /// Where a TOTP seed is: in the OATH application of a token. No secret.
    TotpToken {
        /// AWS's account id: twelve digits.
        account_id: String,
        /// `aws`, `aws-cn` or `aws-us-gov`.
        partition: String,
        /// The IAM user; the root user where there is none.
        user: Option<String>,
        /// The MFA device's serial: an ARN.
        mfa_serial: String,
        /// `SHA1`, `SHA256` or `SHA512`.
        algorithm: String,
        /// Digits of a code.
        digits: u64,
        /// Seconds that a code lasts.
        period: u64,
        /// What the token's OATH application calls itself.
        device: Vec<u8>,
        /// What the token was called when the seed was put there, for people.
        token: String,
        /// Whether each code wants a touch.
        touch: bool,
    },
}

impl Payload {
    /// What kind of item holds it.
    pub const fn kind(&self) -> ItemKind {
        match self {
            Self::AccessKey { .. } => ItemKind::AccessKey,
            Self::Totp { .. } => ItemKind::Totp,
            Self::TotpToken { .. } => ItemKind::TotpToken,
        }
    }

    /// What the index may say about it: access key id or MFA serial.
    pub fn public_text(&self) -> &str {
        match self {
            Self::AccessKey { access_key_id, .. } => access_key_id,
            Self::Totp { mfa_serial, .. } | Self::TotpToken { mfa_serial, .. } => mfa_serial,
        }
    }

    /// Whether it is a secret of `account`: same account id, partition and user.
    pub fn belongs_to(&self, account: &Account) -> bool {
        let (account_id, partition, user) = self.identity();
        (account_id, partition, user) == (&account.account_id, &account.partition, account.user.as_deref())
    }

    fn identity(&self) -> (&str, &str, Option<&str>) {
        match self {
            Self::AccessKey { account_id, partition, user, .. }
            | Self::Totp { account_id, partition, user, .. }
            | Self::TotpToken { account_id, partition, user, .. } => (account_id, partition, user.as_deref()),
        }
    }

    pub(super) fn validate(&self) -> Result<(), VaultError> {
        let (account_id, partition, user) = self.identity();
        names::account_id(account_id)?;
        names::partition(partition)?;
        names::optional(user, SHORT, "user")?;
        names::text(self.public_text(), LONG, "access key id or MFA serial")?;
        match self {
            Self::AccessKey { secret, .. } if secret.with(<[u8]>::is_empty) => {
                Err(VaultError::Invalid("secret access key"))
            }
            Self::AccessKey { .. } => Ok(()),
            Self::Totp { seed, .. } if seed.with(<[u8]>::is_empty) => Err(VaultError::Invalid("seed")),
            Self::Totp { algorithm, digits, period, .. } => code(algorithm, *digits, *period),
            Self::TotpToken { device, token, algorithm, digits, period, .. } => {
                if !(1..=DEVICE).contains(&device.len()) {
                    return Err(VaultError::Invalid("token"));
                }
                names::text(token, LONG, "token")?;
                code(algorithm, *digits, *period)
            }
        }
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (account_id, partition, user) = self.identity();
        // Room for everything at once: a vector that grows leaves copies of the secret behind.
        let secret = match self {
            Self::AccessKey { secret, .. } => secret.with(<[u8]>::len),
            Self::Totp { seed, .. } => seed.with(<[u8]>::len),
            Self::TotpToken { token, .. } => token.len(),
        };
        let room = self.public_text().len().saturating_add(secret).saturating_add(256);
        let mut writer = Writer::with_capacity(room);
        let identity = |writer: &mut Writer, fields: usize| {
            writer.map(fields.saturating_add(user.is_some().into()));
            writer.uint(0).text(account_id).uint(1).text(partition);
        };
        match self {
            Self::AccessKey { access_key_id, secret, .. } => {
                identity(&mut writer, 4);
                writer.uint(3).text(access_key_id).uint(4);
                secret.with(|bytes| writer.bytes(bytes));
            }
            Self::Totp { mfa_serial, seed, algorithm, digits, period, .. } => {
                identity(&mut writer, 7);
                writer.uint(2).text(mfa_serial).uint(4);
                seed.with(|bytes| writer.bytes(bytes));
                writer.uint(5).text(algorithm).uint(6).uint(*digits).uint(7).uint(*period);
            }
            Self::TotpToken { mfa_serial, algorithm, digits, period, .. } => {
                identity(&mut writer, 9);
                writer.uint(2).text(mfa_serial);
                writer.uint(5).text(algorithm).uint(6).uint(*digits).uint(7).uint(*period);
            }
        }
        writer.field(8, user);
        if let Self::TotpToken { device, token, touch, .. } = self {
            writer.uint(9).bytes(device).uint(10).text(token).uint(11).bool(*touch);
        }
        Zeroizing::new(writer.into_bytes())
    }

    pub(super) fn decode(kind: ItemKind, bytes: &[u8]) -> Result<Self, Malformed> {
        let payload = Reader::whole(bytes, |reader| {
            let mut fields = reader.map()?;
            let account_id = fields.required(0, Reader::string)?;
            let partition = fields.required(1, Reader::string)?;
            let payload = match kind {
                ItemKind::AccessKey => {
                    let access_key_id = fields.required(3, Reader::string)?;
                    let secret = LongTermKey::copy_from(fields.required(4, Reader::bytes)?);
                    let user = fields.optional(8, Reader::string)?;
                    Self::AccessKey { account_id, partition, user, access_key_id, secret }
                }
                ItemKind::Totp => {
                    let mfa_serial = fields.required(2, Reader::string)?;
                    let seed = TotpSeed::copy_from(fields.required(4, Reader::bytes)?);
                    let algorithm = fields.required(5, Reader::string)?;
                    let digits = fields.required(6, Reader::uint)?;
                    let period = fields.required(7, Reader::uint)?;
                    let user = fields.optional(8, Reader::string)?;
                    Self::Totp { account_id, partition, user, mfa_serial, seed, algorithm, digits, period }
                }
                ItemKind::TotpToken => Self::TotpToken {
                    account_id,
                    partition,
                    mfa_serial: fields.required(2, Reader::string)?,
                    algorithm: fields.required(5, Reader::string)?,
                    digits: fields.required(6, Reader::uint)?,
                    period: fields.required(7, Reader::uint)?,
                    user: fields.optional(8, Reader::string)?,
                    device: fields.required(9, Reader::bytes)?.to_vec(),
                    token: fields.required(10, Reader::string)?,
                    touch: fields.required(11, Reader::bool)?,
                },
            };
            fields.end()?;
            Ok(payload)
        })?;
        payload.validate().map_err(|_detail| Malformed)?;
        Ok(payload)
    }
}

/// How codes are made.
fn code(algorithm: &str, digits: u64, period: u64) -> Result<(), VaultError> {
    if !matches!(algorithm, "SHA1" | "SHA256" | "SHA512") {
        return Err(VaultError::Invalid("algorithm"));
    }
    if !(6..=10).contains(&digits) {
        return Err(VaultError::Invalid("digits"));
    }
    if (1..=86_400).contains(&period) { Ok(()) } else { Err(VaultError::Invalid("period")) }
}
