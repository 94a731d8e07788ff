//! Accounts and profiles: the part of the index that the unlock key alone may change.

mod remove;

use super::error::Error;
use super::seeds::{is_seed, seeds_of};
use super::{Service, vault_error};
use crate::aws::{AccountId, Partition, Principal, Region, SessionDuration};
use crate::vault::{self, AccountRef, Index, ItemKind, Profile, VaultError};
use std::sync::Arc;

/// An account to be added.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// Its name here.
    pub name: String,
    /// Twelve digits.
    pub account_id: String,
    /// `aws` where it is not said.
    pub partition: Option<String>,
    /// The IAM user; root where there is none.
    pub user: Option<String>,
    /// The root user's e-mail address.
    pub email: Option<String>,
}

/// A profile to be added.
#[derive(Clone, Debug, Default)]
pub struct NewProfile {
    /// Its name.
    pub name: String,
    /// Of which account.
    pub account: String,
    /// Seconds; one hour where it is not said.
    pub duration: Option<u32>,
    /// Where its requests go.
    pub region: Option<String>,
}

/// An account as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its id in this vault.
    pub id: AccountRef,
    /// Its name.
    pub name: String,
    /// Twelve digits.
    pub account_id: String,
    /// Partition.
    pub partition: String,
    /// IAM user, empty for root.
    pub user: String,
    /// E-mail address, empty where it is not known.
    pub email: String,
    /// Seconds since 1970-01-01 UTC.
    pub created: u64,
    /// Ids of its access keys.
    pub access_keys: Vec<String>,
    /// Serial numbers of its MFA devices.
    pub mfa: Vec<String>,
}

/// An MFA device as clients see it, and where its seed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfaDevice {
    /// Its account's name.
    pub account: String,
    /// Its serial.
    pub serial: String,
    /// Whether the vault has the seed.
    pub in_vault: bool,
    /// The tokens that have it: what each was called when it came there, and whether a code wants a touch.
    pub tokens: Vec<(String, bool)>,
}

/// A profile as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileInfo {
    /// Its name.
    pub name: String,
    /// Its account's name.
    pub account: String,
    /// Its account's twelve digits.
    pub account_id: String,
    /// `GetSessionToken`
    pub request: String,
    /// Seconds.
    pub duration: u32,
    /// Empty where none was given.
    pub region: String,
}

impl Service {
    /// Adds an account.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Exists`], [`Error::Locked`].
    pub async fn add_account(self: &Arc<Self>, new: NewAccount) -> Result<AccountRef, Error> {
        let account_id: AccountId = new.account_id.parse()?;
        let partition: Partition = new.partition.as_deref().unwrap_or("aws").parse()?;
        let account = vault::NewAccount {
            name: new.name,
            account_id: account_id.to_string(),
            partition: partition.name().to_owned(),
            user: new.user,
            email: new.email,
            created: self.clock.now(),
        };
        let name = account.name.clone();
        self.edit(format!("an account named {name}"), move |draft| draft.add_account(account)).await
    }

    /// Adds a profile.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Exists`], [`Error::NotFound`], [`Error::Locked`].
    pub async fn add_profile(self: &Arc<Self>, new: NewProfile) -> Result<(), Error> {
        let account_name = new.account.clone();
        let account =
            self.keeper.run(move |house| Ok(find(house.unlocked()?.index(), &account_name)?.clone())).await?;
        let principal = if account.user.is_some() { Principal::User } else { Principal::Root };
        let duration = SessionDuration::new(new.duration.unwrap_or(3600), principal)?;
        let partition: Partition = account.partition.parse()?;
        if let Some(region) = &new.region {
            Region::parse(region, partition)?;
        }
        let profile = Profile {
            name: new.name,
            account: account.id,
            request: "GetSessionToken".to_owned(),
            duration: duration.seconds().into(),
            region: new.region,
            created: self.clock.now(),
        };
        let name = profile.name.clone();
        self.edit(format!("a profile named {name}"), move |draft| draft.add_profile(profile)).await
    }

    /// Removes a profile.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`].
    pub async fn remove_profile(self: &Arc<Self>, name: String) -> Result<(), Error> {
        let missing = no_profile(&name);
        self.keeper
            .glance({
                let name = name.clone();
                move |house| house.unlocked()?.index().profile(&name).map(|_| ()).ok_or(missing)
            })
            .await?;
        self.edit(String::new(), move |draft| draft.remove_profile(&name)).await
    }

    /// All accounts.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub async fn accounts(&self) -> Result<Vec<AccountInfo>, Error> {
        self.keeper
            .glance(|house| {
                let index = house.unlocked()?.index();
                Ok(index.accounts().iter().map(|account| info(index, account)).collect())
            })
            .await
    }

    /// One account, by its id in this vault.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`].
    pub async fn account(&self, id: AccountRef) -> Result<AccountInfo, Error> {
        self.keeper
            .glance(move |house| {
                let index = house.unlocked()?.index();
                let account = index.account(id).ok_or_else(|| Error::NotFound("such account".to_owned()))?;
                Ok(info(index, account))
            })
            .await
    }

    /// An account's id in this vault, by its name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`].
    pub async fn find_account(&self, name: String) -> Result<AccountRef, Error> {
        self.keeper.glance(move |house| Ok(find(house.unlocked()?.index(), &name)?.id)).await
    }

    /// All MFA devices.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Damaged`].
    pub async fn mfa_devices(&self) -> Result<Vec<MfaDevice>, Error> {
        self.keeper
            .run(|house| {
                let mut devices = Vec::new();
                for account in house.unlocked()?.index().accounts() {
                    devices.extend(seeds_of(house, account)?.into_iter().map(|seed| MfaDevice {
                        account: account.name.clone(),
                        serial: seed.serial,
                        in_vault: seed.vault.is_some(),
                        tokens: seed.copies.into_iter().map(|copy| (copy.token, copy.touch)).collect(),
                    }));
                }
                Ok(devices)
            })
            .await
    }

    /// All profiles.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub async fn profiles(&self) -> Result<Vec<ProfileInfo>, Error> {
        self.keeper
            .glance(|house| {
                let index = house.unlocked()?.index();
                Ok(index.profiles().iter().map(|profile| profile_info(index, profile)).collect())
            })
            .await
    }

    /// Changes what the unlock key may change, and saves. `what` exists already, if the vault says so.
    pub(super) async fn edit<R: Send + 'static>(
        self: &Arc<Self>,
        what: String,
        change: impl FnOnce(&mut vault::Draft<'_>) -> Result<R, VaultError> + Send + 'static,
    ) -> Result<R, Error> {
        let turn = Arc::clone(&self.saving).lock_owned().await;
        let path = self.path.clone();
        let (staged, result) = self
            .keeper
            .run(move |house| {
                let mut draft = house.unlocked()?.edit();
                let in_words = |error: VaultError| {
                    if error == VaultError::Exists {
                        Error::Exists(what.clone())
                    } else {
                        vault_error(&error, &path)
                    }
                };
                let result = change(&mut draft).map_err(in_words)?;
                Ok((draft.seal().map_err(in_words)?, result))
            })
            .await?;
        self.save(staged, turn).await?;
        self.autolock.used();
        Ok(result)
    }
}

/// The account of that name, or the sentence that says there is none.
pub(super) fn find<'i>(index: &'i Index, name: &str) -> Result<&'i vault::Account, Error> {
    index
        .account_named(name)
        .ok_or_else(|| Error::NotFound(format!("account named {name}: `rootseal account list` shows them")))
}

pub(super) fn no_profile(name: &str) -> Error {
    Error::NotFound(format!("profile named {name}: `rootseal profile list` shows them"))
}

fn info(index: &Index, account: &vault::Account) -> AccountInfo {
    let texts = |kind: ItemKind| {
        let items = index.items_of(account.id).filter(|item| item.kind == kind);
        items.filter_map(|item| item.public_text.as_deref().map(ToOwned::to_owned)).collect()
    };
    AccountInfo {
        id: account.id,
        name: account.name.clone(),
        account_id: account.account_id.clone(),
        partition: account.partition.clone(),
        user: account.user.clone().unwrap_or_default(),
        email: account.email.clone().unwrap_or_default(),
        created: account.created,
        access_keys: texts(ItemKind::AccessKey),
        mfa: devices(index, account),
    }
}

/// Each MFA device once, however many copies of its seed there are.
fn devices(index: &Index, account: &vault::Account) -> Vec<String> {
    let mut serials: Vec<String> = Vec::new();
    for item in index.items_of(account.id).filter(|item| is_seed(item.kind)) {
        let serial = item.public_text.as_deref().unwrap_or_default();
        if !serials.iter().any(|known| known == serial) {
            serials.push(serial.to_owned());
        }
    }
    serials
}

fn profile_info(index: &Index, profile: &Profile) -> ProfileInfo {
    let account = index.account(profile.account);
    ProfileInfo {
        name: profile.name.clone(),
        account: account.map(|account| account.name.clone()).unwrap_or_default(),
        account_id: account.map(|account| account.account_id.clone()).unwrap_or_default(),
        request: profile.request.clone(),
        duration: u32::try_from(profile.duration).unwrap_or(u32::MAX),
        region: profile.region.clone().unwrap_or_default(),
    }
}
