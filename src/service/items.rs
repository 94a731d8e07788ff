//! Taking secrets in: an access key, a TOTP seed. Both are guarded.

use super::accounts::find;
use super::error::Error;
use super::guarded::{Done, Guarded, Tools, known_seeds};
use super::house::House;
use super::oath::OnTokens;
use super::purpose::{Purpose, identity};
use super::seeds::SeedKey;
use super::who::Who;
use super::{Service, vault_error};
use crate::aws::{self, AccessKeyId, AccountId, MfaSerial, Partition};
use crate::otp::{self, Enrolment};
use crate::secret::{LongTermKey, TotpSeed};
use crate::vault::{Account, AccountRef, Class, Guard, Index, ItemKind, NewItem, Payload, Staged};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// How a seed is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedForm {
    /// An `otpauth://` URI.
    Uri,
    /// The seed in base32.
    Base32,
}

/// A seed to be added.
pub struct NewTotp<'a> {
    /// What was handed in.
    pub bytes: &'a [u8],
    /// And how.
    pub form: SeedForm,
    /// The MFA device's serial; root's default name where it is not said.
    pub mfa_serial: Option<String>,
    /// The tokens that it is to go to; none: to the vault.
    pub on: OnTokens,
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpAdded {
    /// The MFA device's serial.
    pub mfa_serial: String,
    /// The seed has less than the 128 bits that RFC 4226 wants.
    pub weak: bool,
}

impl Service {
    /// Seals the access key of a `rootkey.csv`. Returns its id.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the file, [`Error::Exists`] for a key that is there; all that a guarded operation
    /// can go wrong with.
    pub async fn import_access_key(
        self: &Arc<Self>,
        account: AccountRef,
        csv: &[u8],
        who: Who<'_>,
    ) -> Result<String, Error> {
        let (id, secret) = aws::read_csv(csv)?;
        let added = id.to_string();
        self.take_in(account, TakeIn::AccessKey { id, secret }, who).await?;
        Ok(added)
    }

    /// Seals a TOTP seed, or puts it on tokens.
    ///
    /// # Errors
    /// As [`Self::import_access_key`]; all that a token can go wrong with.
    pub async fn add_totp(
        self: &Arc<Self>,
        account: AccountRef,
        new: NewTotp<'_>,
        who: Who<'_>,
    ) -> Result<TotpAdded, Error> {
        let enrolment = match new.form {
            SeedForm::Uri => Enrolment::from_uri(new.bytes)?,
            SeedForm::Base32 => Enrolment::from_base32(new.bytes)?,
        };
        let owner =
            self.keeper.run(move |house| Ok(by_id(house.unlocked()?.index(), account)?.clone())).await?;
        let mfa_serial = serial(&owner, new.mfa_serial.as_deref())?;
        let added = TotpAdded { mfa_serial: mfa_serial.to_string(), weak: enrolment.weak };
        let seed = Arc::new(enrolment.seed);
        let sealing = Sealing { account: owner, mfa_serial, seed, params: enrolment.params };
        if new.on.tokens.is_empty() {
            self.take_in(account, TakeIn::Totp(sealing), who).await?;
        } else {
            self.add_on_tokens(sealing, new.on, who).await?;
        }
        Ok(added)
    }

    async fn take_in(
        self: &Arc<Self>,
        account: AccountRef,
        secret: TakeIn,
        who: Who<'_>,
    ) -> Result<(), Error> {
        let request = Arc::new(Import { account, secret: std::sync::Mutex::new(Some(secret)) });
        let Done { yielded, purpose, token, saving, .. } = self.guarded(request, who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        self.save(yielded, saving.ok_or(Error::Failed("no turn to save"))?).await
    }
}

/// The serial that was given, if it is one of this account, or the one that root's device has by default.
fn serial(account: &Account, given: Option<&str>) -> Result<MfaSerial, Error> {
    let partition: Partition = account.partition.parse()?;
    let account_id: AccountId = account.account_id.parse()?;
    match (given, &account.user) {
        (Some(given), _) => Ok(MfaSerial::parse(given, partition, account_id)?),
        (None, None) => Ok(MfaSerial::root_default(partition, account_id)),
        (None, Some(_)) => Err(Error::Invalid("name the IAM user's MFA device with --mfa-serial".to_owned())),
    }
}

enum TakeIn {
    AccessKey { id: AccessKeyId, secret: LongTermKey },
    Totp(Sealing),
}

/// A seed on its way in, and whose it is.
pub(super) struct Sealing {
    pub(super) account: Account,
    pub(super) mfa_serial: MfaSerial,
    pub(super) seed: Arc<TotpSeed>,
    pub(super) params: otp::TotpParams,
}

impl Sealing {
    pub(super) fn key(&self) -> SeedKey {
        SeedKey::new(self.account.id, self.mfa_serial.as_str())
    }

    /// What it is for, before it is known what the vault says.
    pub(super) fn purpose(&self, places: &str) -> Purpose {
        let Account { name, account_id, user, .. } = &self.account;
        let identity = identity(name, account_id, user.as_deref());
        Purpose::new(
            "totp-add",
            format!("put the TOTP seed of {} for {identity} on {places}", self.mfa_serial),
        )
    }

    pub(super) fn exists(&self, account: &str) -> Error {
        Error::Exists(format!("the TOTP seed of {} in {account}", self.mfa_serial))
    }

    /// The vault's copy.
    pub(super) fn payload(&self, account: &Account) -> Payload {
        Payload::Totp {
            account_id: account.account_id.clone(),
            partition: account.partition.clone(),
            user: account.user.clone(),
            mfa_serial: self.mfa_serial.to_string(),
            seed: self.seed.with(TotpSeed::copy_from),
            algorithm: self.params.algorithm().name().to_owned(),
            digits: self.params.digits().into(),
            period: self.params.period(),
        }
    }
}

struct Import {
    account: AccountRef,
    /// Taken out when it is sealed.
    secret: std::sync::Mutex<Option<TakeIn>>,
}

#[derive(Clone, PartialEq)]
struct ImportPlan {
    account: Account,
    what: String,
    event: &'static str,
}

impl Guarded for Import {
    const OPENS_LOCKED: bool = false;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = ImportPlan;
    type Yield = Staged;

    fn plan(&self, house: &House) -> Result<ImportPlan, Error> {
        let index = house.unlocked()?.index();
        let account = by_id(index, self.account)?.clone();
        let secret = self.secret.lock().map_err(|_poisoned| Error::Failed("the secret is lost"))?;
        let (kind, text, what, event) = match &*secret {
            Some(TakeIn::AccessKey { id, .. }) => {
                (ItemKind::AccessKey, id.to_string(), format!("access key {id}"), "key-import")
            }
            Some(TakeIn::Totp(Sealing { mfa_serial, .. })) => {
                (ItemKind::Totp, mfa_serial.to_string(), format!("TOTP seed of {mfa_serial}"), "totp-add")
            }
            None => return Err(Error::Failed("the secret is sealed already")),
        };
        let same =
            |item: &crate::vault::Item| item.kind == kind && item.public_text.as_deref() == Some(&*text);
        if index.items_of(account.id).any(same) {
            return Err(Error::Exists(format!("the {what} in {}", account.name)));
        }
        Ok(ImportPlan { account, what, event })
    }

    fn purpose(&self, plan: Option<&ImportPlan>) -> Purpose {
        match plan {
            Some(ImportPlan { account, what, event }) => {
                let identity = identity(&account.name, &account.account_id, account.user.as_deref());
                Purpose::new(event, format!("seal the {what} for {identity}"))
            }
            None => Purpose::new("import", "seal a secret"),
        }
    }

    fn seed(&self, _: &ImportPlan) -> Option<SeedKey> {
        None
    }

    fn act(&self, plan: &ImportPlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Staged, Error> {
        let secret = self.secret.lock().ok().and_then(|mut secret| secret.take());
        let payload = match secret.ok_or(Error::Failed("the secret is sealed already"))? {
            TakeIn::AccessKey { id, secret } => Payload::AccessKey {
                account_id: plan.account.account_id.clone(),
                partition: plan.account.partition.clone(),
                user: plan.account.user.clone(),
                access_key_id: id.to_string(),
                secret,
            },
            TakeIn::Totp(sealing) => {
                only_once(&sealing.seed, None, &guard, tools)?;
                inherit_spent(sealing.key(), guard.vault().index(), tools);
                sealing.payload(&plan.account)
            }
        };
        let new = NewItem {
            account: self.account,
            class: Class::Guarded,
            replaces: None,
            created: tools.clock.now(),
        };
        let mut draft = guard.edit();
        let staged = draft.put(new, &payload).and_then(|_item| draft.seal());
        staged.map_err(|error| vault_error(&error, tools.path))
    }
}

/// Codes are counted as spent for each MFA device: a seed that the vault held for two would give each code twice.
/// `own`: the device that a copy of the seed may be of, and then of no other seed.
pub(super) fn only_once(
    seed: &TotpSeed,
    own: Option<SeedKey>,
    guard: &Guard<'_>,
    tools: &Tools<'_>,
) -> Result<(), Error> {
    let index = guard.vault().index();
    for item in index.items().iter().filter(|item| item.kind == ItemKind::Totp) {
        let payload = guard.secret(item.id).map_err(|error| vault_error(&error, tools.path))?;
        let Payload::Totp { seed: other, .. } = &payload else { continue };
        let same = seed.with(|seed| other.with(|other| bool::from(seed.ct_eq(other))));
        let own = own.is_some() && SeedKey::of(item) == own;
        let name = || index.account(item.account).map_or("", |account| &account.name);
        match (same, own) {
            (true, false) => return Err(Error::Exists(format!("this TOTP seed, in {}", name()))),
            (false, true) => {
                return Err(Error::Invalid(format!(
                    "this is not the TOTP seed that the vault holds for that MFA device of {}: remove that one first",
                    name()
                )));
            }
            (true, true) | (false, false) => {}
        }
    }
    Ok(())
}

/// A seed that was removed a moment ago may be the one that is added: its last code stays spent.
pub(super) fn inherit_spent(key: SeedKey, index: &Index, tools: &mut Tools<'_>) {
    let known = known_seeds(index);
    if known.contains(&key) {
        return;
    }
    let orphans = tools.machine.spent.iter().filter(|(seed, _)| !known.contains(seed));
    let spent = orphans.map(|(_, until)| *until).max().filter(|until| *until > tools.clock.now());
    if let Some(until) = spent {
        tools.machine.spent.insert(key, until);
    }
}

pub(super) fn by_id(index: &Index, id: AccountRef) -> Result<&Account, Error> {
    let account = index.account(id).ok_or_else(|| Error::NotFound("such account".to_owned()))?;
    find(index, &account.name)
}
