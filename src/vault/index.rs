//! The index: what exists, under which names. It opens with the unlock key.

use super::cbor::{Malformed, Reader, Writer};
use super::names::{self, LONG, SHORT};
use super::{AccountRef, Class, ItemId, ItemKind, VaultError};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One AWS identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id in this vault.
    pub id: AccountRef,
    /// Its name in this vault.
    pub name: String,
    /// AWS's account id: twelve digits.
    pub account_id: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The IAM user; the root user where there is none.
    pub user: Option<String>,
    /// The root user's e-mail address, where known.
    pub email: Option<String>,
    /// When it was added: seconds since 1970.
    pub created: u64,
}

/// What a `credential_process` line asks for, by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Whose credentials.
    pub account: AccountRef,
    /// The request that makes them: `GetSessionToken`.
    pub request: String,
    /// For how many seconds.
    pub duration: u64,
    /// The region to use, where one is set.
    pub region: Option<String>,
    /// When it was added: seconds since 1970.
    pub created: u64,
}

/// One secret, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// Whose it is.
    pub account: AccountRef,
    /// What it is.
    pub kind: ItemKind,
    /// Which keys open it.
    pub class: Class,
    /// +1 at each change, from 1.
    pub version: u64,
    /// When this version was made: seconds since 1970.
    pub created: u64,
    /// Access key id or MFA serial.
    pub public_text: Option<Arc<str>>,
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Item {
    /// Where its record stands in the section of records.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start.saturating_add(self.length)
    }
}

/// The index, with its look-ups.
#[derive(Clone, Default)]
pub struct Index {
    pub(super) accounts: Vec<Account>,
    pub(super) profiles: Vec<Profile>,
    pub(super) items: Vec<Item>,
    pub(super) manifest_hash: [u8; 32],
    pub(super) records_hash: [u8; 32],
    account_at: HashMap<AccountRef, usize>,
    account_named: HashMap<String, usize>,
    profile_named: HashMap<String, usize>,
    item_at: HashMap<ItemId, usize>,
}

impl Index {
    /// The accounts, in the order they were added.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The profiles, in the order they were added.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The items, in the order of their records.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// An account by its id.
    pub fn account(&self, id: AccountRef) -> Option<&Account> {
        self.accounts.get(*self.account_at.get(&id)?)
    }

    /// An account by its name.
    pub fn account_named(&self, name: &str) -> Option<&Account> {
        self.accounts.get(*self.account_named.get(name)?)
    }

    /// A profile by its name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(*self.profile_named.get(name)?)
    }

    /// An item by its id.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(*self.item_at.get(&id)?)
    }

    /// The items of one account.
    pub fn items_of(&self, account: AccountRef) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.account == account)
    }

    pub(super) fn add_account(&mut self, account: Account) -> Result<(), VaultError> {
        account.validate()?;
        vacant(self.account_at.contains_key(&account.id))?;
        vacant(self.account_named.contains_key(&account.name))?;
        self.account_at.insert(account.id, self.accounts.len());
        self.account_named.insert(account.name.clone(), self.accounts.len());
        self.accounts.push(account);
        Ok(())
    }

    pub(super) fn add_profile(&mut self, profile: Profile) -> Result<(), VaultError> {
        profile.validate()?;
        self.account(profile.account).ok_or(VaultError::NotFound)?;
        vacant(self.profile_named.contains_key(&profile.name))?;
        self.profile_named.insert(profile.name.clone(), self.profiles.len());
        self.profiles.push(profile);
        Ok(())
    }

    /// Adds an item, or replaces the one with its id.
    pub(super) fn put_item(&mut self, item: Item) -> Result<(), VaultError> {
        match self.item_at.get(&item.id).and_then(|place| self.items.get_mut(*place)) {
            Some(place) => *place = item,
            None => self.add_item(item)?,
        }
        Ok(())
    }

    fn add_item(&mut self, item: Item) -> Result<(), VaultError> {
        names::optional(item.public_text.as_deref(), LONG, "public text")?;
        if item.version == 0 {
            return Err(VaultError::Invalid("item version"));
        }
        // Items of one account mostly stand together: its look-up need not be done again for each.
        if self.items.last().is_none_or(|last| last.account != item.account) {
            self.account_at.get(&item.account).ok_or(VaultError::NotFound)?;
        }
        vacant(self.item_at.insert(item.id, self.items.len()).is_some())?;
        self.items.push(item);
        Ok(())
    }

    /// Keeps what the three say, and nothing of an account that goes.
    pub(super) fn retain(
        &mut self,
        account: impl Fn(&Account) -> bool,
        profile: impl Fn(&Profile) -> bool,
        item: impl Fn(&Item) -> bool,
    ) -> Result<(), VaultError> {
        let Self { mut accounts, mut profiles, mut items, manifest_hash, records_hash, .. } =
            std::mem::take(self);
        accounts.retain(account);
        profiles.retain(profile);
        items.retain(item);
        *self = Self { manifest_hash, records_hash, ..Self::default() };
        self.fill(accounts, profiles, items)
    }

    /// Checks the rules of the format, in the order of the file, and builds the look-ups.
    fn fill(
        &mut self,
        accounts: Vec<Account>,
        profiles: Vec<Profile>,
        items: Vec<Item>,
    ) -> Result<(), VaultError> {
        self.account_at.reserve(accounts.len());
        self.account_named.reserve(accounts.len());
        self.accounts.reserve_exact(accounts.len());
        self.item_at.reserve(items.len());
        self.items.reserve_exact(items.len());
        accounts.into_iter().try_for_each(|account| self.add_account(account))?;
        profiles.into_iter().try_for_each(|profile| self.add_profile(profile))?;
        items.into_iter().try_for_each(|item| self.add_item(item))
    }

    /// The guarded items as the guard manifest lists them: by id.
    pub(super) fn guarded(&self) -> Vec<&Item> {
        let mut guarded: Vec<_> = self.items.iter().filter(|item| item.class == Class::Guarded).collect();
        guarded.sort_unstable_by_key(|item| item.id);
        guarded
    }

    /// The names in it are wiped with the result, not secret roles: they are no keys.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Enough for most, so that a growing vector does not copy it again and again.
        let estimate = self.items.len().saturating_add(self.accounts.len()).saturating_mul(160);
        let mut writer = Writer::with_capacity(estimate.saturating_add(1024));
        writer.map(5).uint(0).array(self.accounts.len());
        self.accounts.iter().for_each(|account| account.encode(&mut writer));
        writer.uint(1).array(self.profiles.len());
        self.profiles.iter().for_each(|profile| profile.encode(&mut writer));
        writer.uint(2).array(self.items.len());
        self.items.iter().for_each(|item| item.encode(&mut writer));
        writer.uint(3).bytes(&self.manifest_hash).uint(4).bytes(&self.records_hash);
        Zeroizing::new(writer.into_bytes())
    }

    /// Reads an index whose records have `records` bytes in all.
    pub(super) fn decode(bytes: &[u8], records: usize) -> Result<Self, Malformed> {
        Reader::whole(bytes, |reader| {
            let mut fields = reader.map()?;
            let accounts = fields.required(0, |reader| reader.array(Account::decode))?;
            let profiles = fields.required(1, |reader| reader.array(Profile::decode))?;
            let mut start = 0_usize;
            let items = fields.required(2, |reader| {
                reader.array(|reader| {
                    let item = Item::decode(reader, start)?;
                    start = start.checked_add(item.length).ok_or(Malformed)?;
                    Ok(item)
                })
            })?;
            let mut index = Self {
                manifest_hash: fields.required(3, Reader::array_of)?,
                records_hash: fields.required(4, Reader::array_of)?,
                ..Self::default()
            };
            fields.end()?;
            index.fill(accounts, profiles, items).map_err(|_detail| Malformed)?;
            if start == records { Ok(index) } else { Err(Malformed) }
        })
    }
}

fn vacant(taken: bool) -> Result<(), VaultError> {
    if taken { Err(VaultError::Exists) } else { Ok(()) }
}

impl Account {
    fn validate(&self) -> Result<(), VaultError> {
        names::name(&self.name, "account name")?;
        names::account_id(&self.account_id)?;
        names::partition(&self.partition)?;
        names::optional(self.user.as_deref(), SHORT, "user")?;
        names::optional(self.email.as_deref(), LONG, "e-mail")
    }

    fn encode(&self, writer: &mut Writer) {
        let optional = usize::from(self.user.is_some()).saturating_add(self.email.is_some().into());
        writer.map(optional.saturating_add(5)).uint(0).bytes(self.id.as_bytes());
        writer.uint(1).text(&self.name).uint(2).text(&self.account_id).uint(3).text(&self.partition);
        writer.field(4, self.user.as_deref()).field(5, self.email.as_deref()).uint(6).uint(self.created);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut fields = reader.map()?;
        let account = Self {
            id: fields.required(0, Reader::account_ref)?,
            name: fields.required(1, Reader::string)?,
            account_id: fields.required(2, Reader::string)?,
            partition: fields.required(3, Reader::string)?,
            user: fields.optional(4, Reader::string)?,
            email: fields.optional(5, Reader::string)?,
            created: fields.required(6, Reader::uint)?,
        };
        fields.end()?;
        Ok(account)
    }
}

impl Profile {
    fn validate(&self) -> Result<(), VaultError> {
        names::name(&self.name, "profile name")?;
        names::text(&self.request, SHORT, "request")?;
        names::optional(self.region.as_deref(), SHORT, "region")
    }

    fn encode(&self, writer: &mut Writer) {
        writer.map(if self.region.is_some() { 6 } else { 5 });
        writer.uint(0).text(&self.name).uint(1).bytes(self.account.as_bytes());
        writer.uint(2).text(&self.request).uint(3).uint(self.duration);
        writer.field(4, self.region.as_deref()).uint(5).uint(self.created);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut fields = reader.map()?;
        let profile = Self {
            name: fields.required(0, Reader::string)?,
            account: fields.required(1, Reader::account_ref)?,
            request: fields.required(2, Reader::string)?,
            duration: fields.required(3, Reader::uint)?,
            region: fields.optional(4, Reader::string)?,
            created: fields.required(5, Reader::uint)?,
        };
        fields.end()?;
        Ok(profile)
    }
}

impl Item {
    fn encode(&self, writer: &mut Writer) {
        writer.map(if self.public_text.is_some() { 8 } else { 7 });
        writer.uint(0).bytes(self.id.as_bytes()).uint(1).bytes(self.account.as_bytes());
        writer.uint(2).text(self.kind.as_str()).uint(3).uint(self.class.byte().into());
        writer.uint(4).uint(self.version).uint(5).size(self.length).uint(6).uint(self.created);
        writer.field(7, self.public_text.as_deref());
    }

    fn decode(reader: &mut Reader<'_>, start: usize) -> Result<Self, Malformed> {
        let mut fields = reader.map()?;
        let item = Self {
            id: fields.required(0, Reader::item_id)?,
            account: fields.required(1, Reader::account_ref)?,
            kind: ItemKind::from_word(fields.required(2, Reader::text)?).ok_or(Malformed)?,
            class: Class::from_number(fields.required(3, Reader::uint)?).ok_or(Malformed)?,
            version: fields.required(4, Reader::uint)?,
            length: usize::try_from(fields.required(5, Reader::uint)?).map_err(|_size| Malformed)?,
            created: fields.required(6, Reader::uint)?,
            public_text: fields.optional(7, Reader::text)?.map(Arc::from),
            start,
        };
        fields.end()?;
        Ok(item)
    }
}
