//! A staged change: a copy of the vault's contents that is edited, then sealed to bytes.

use super::manifest::SlotEntry;
use super::record::Keys;
use super::{
    Account, AccountRef, Class, Guard, Header, Index, Item, ItemId, Payload, Profile, UnlockedVault,
    VaultError,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A change in the making. Dropped, it has changed nothing; after an error it is to be dropped.
///
/// What the guard manifest covers (guarded records, keyslots, thresholds) can be changed only in a draft
/// made from a [`Guard`]; elsewhere that is [`VaultError::GuardNeeded`].
pub struct Draft<'v> {
    pub(super) vault: &'v UnlockedVault,
    pub(super) guard: Option<Guard<'v>>,
    pub(super) header: Header,
    pub(super) index: Index,
    /// The manifest's slots; empty without a guard.
    pub(super) slots: Vec<SlotEntry>,
    /// Records that this draft has made.
    pub(super) fresh: HashMap<ItemId, Vec<u8>>,
    pub(super) changed: Changed,
}

/// What has to be written anew besides header and index.
#[derive(Clone, Copy, Default)]
pub(super) struct Changed {
    pub(super) records: bool,
    pub(super) manifest: bool,
    pub(super) renewed: Renewed,
}

/// What the keyslots get anew.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Renewed {
    /// Nothing.
    #[default]
    Nothing,
    /// Shares of the keys that are.
    Shares,
    /// Shares of new keys.
    Keys,
}

/// An account to be added.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name in this vault: 1 … 64 characters.
    pub name: String,
    /// AWS's account id: twelve digits.
    pub account_id: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The IAM user; the root user where there is none.
    pub user: Option<String>,
    /// The root user's e-mail address, where known.
    pub email: Option<String>,
    /// Seconds since 1970.
    pub created: u64,
}

/// An item to be added, or a new version of one.
#[derive(Clone, Copy, Debug)]
pub struct NewItem {
    /// Whose it is.
    pub account: AccountRef,
    /// Which keys open it.
    pub class: Class,
    /// The item that it is a new version of.
    pub replaces: Option<ItemId>,
    /// Seconds since 1970.
    pub created: u64,
}

impl<'v> Draft<'v> {
    pub(super) fn new(vault: &'v UnlockedVault, guard: Option<Guard<'v>>) -> Self {
        Self {
            vault,
            header: vault.header().clone(),
            index: vault.index.clone(),
            slots: guard.as_ref().map(|guard| guard.manifest.slots.clone()).unwrap_or_default(),
            guard,
            fresh: HashMap::new(),
            changed: Changed::default(),
        }
    }

    /// The index as it will be.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The header as it will be, but for generation, salt and lengths.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] naming the field; [`VaultError::Exists`] if the name is taken.
    pub fn add_account(&mut self, new: NewAccount) -> Result<AccountRef, VaultError> {
        let id = AccountRef::random()?;
        let NewAccount { name, account_id, partition, user, email, created } = new;
        self.index.add_account(Account { id, name, account_id, partition, user, email, created })?;
        Ok(id)
    }

    /// Removes an account with its profiles and items.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::GuardNeeded`] if it has guarded items.
    pub fn remove_account(&mut self, id: AccountRef) -> Result<(), VaultError> {
        self.index.account(id).ok_or(VaultError::NotFound)?;
        let classes: Vec<_> = self.index.items_of(id).map(|item| item.class).collect();
        classes.into_iter().try_for_each(|class| self.touch(class))?;
        self.index.retain(
            |account| account.id != id,
            |profile| profile.account != id,
            |item| item.account != id,
        )
    }

    /// Adds a profile.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] naming the field; [`VaultError::Exists`] if the name is taken;
    /// [`VaultError::NotFound`] if the account is not there.
    pub fn add_profile(&mut self, profile: Profile) -> Result<(), VaultError> {
        self.index.add_profile(profile)
    }

    /// Removes a profile.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn remove_profile(&mut self, name: &str) -> Result<(), VaultError> {
        self.index.profile(name).ok_or(VaultError::NotFound)?;
        self.index.retain(|_| true, |profile| profile.name != name, |_| true)
    }

    /// Seals `payload` as a new item or a new version.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] naming the field, also if the payload is not the account's;
    /// [`VaultError::NotFound`]; [`VaultError::GuardNeeded`] if the item is guarded, or was.
    pub fn put(&mut self, new: NewItem, payload: &Payload) -> Result<ItemId, VaultError> {
        payload.validate()?;
        let account = self.index.account(new.account).ok_or(VaultError::NotFound)?;
        if !payload.belongs_to(account) {
            return Err(VaultError::Invalid("account of the secret"));
        }
        let before = match new.replaces {
            Some(id) => Some(self.index.item(id).ok_or(VaultError::NotFound)?.clone()),
            None => None,
        };
        if before.as_ref().is_some_and(|item| (item.kind, item.account) != (payload.kind(), new.account)) {
            return Err(VaultError::Invalid("kind or account of the item"));
        }
        self.touch(new.class)?;
        if let Some(before) = &before {
            self.touch(before.class)?;
        }
        let version = before.as_ref().map_or(0, |item| item.version).checked_add(1);
        let mut item = Item {
            id: before.as_ref().map_or_else(ItemId::random, |item| Ok(item.id))?,
            account: new.account,
            kind: payload.kind(),
            class: new.class,
            version: version.ok_or(VaultError::Invalid("item version"))?,
            created: new.created,
            public_text: Some(Arc::from(payload.public_text())),
            start: 0,
            length: 0,
        };
        let record = self.keys().seal(self.header.vault, &item, &payload.encode())?;
        item.length = record.len();
        let id = item.id;
        self.fresh.insert(id, record);
        self.index.put_item(item)?;
        Ok(id)
    }

    /// Removes an item.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::GuardNeeded`] if it is guarded.
    pub fn remove_item(&mut self, id: ItemId) -> Result<(), VaultError> {
        let class = self.index.item(id).ok_or(VaultError::NotFound)?.class;
        self.touch(class)?;
        self.fresh.remove(&id);
        self.index.retain(|_| true, |_| true, |item| item.id != id)
    }

    /// Notes that a record of `class` changes.
    fn touch(&mut self, class: Class) -> Result<(), VaultError> {
        if class == Class::Guarded {
            self.guarded()?;
        }
        self.changed.records = true;
        Ok(())
    }

    /// Notes a change that the manifest covers.
    pub(super) fn guarded(&mut self) -> Result<&Guard<'v>, VaultError> {
        let guard = self.guard.as_ref().ok_or(VaultError::GuardNeeded)?;
        self.changed.manifest = true;
        Ok(guard)
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        Keys { unlock: &self.vault.key, guard: self.guard.as_ref().map(|guard| &guard.key) }
    }
}
