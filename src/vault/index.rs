//! The index: what exists, under which names. It opens with the unlock key.

use super::cbor::{Malformed, Reader, Writer};
use super::{Account, AccountRef, Class, Item, ItemId, LogAnchor, Profile, VaultError};
use std::collections::HashMap;
use zeroize::Zeroizing;

/// The index, with its look-ups.
#[derive(Clone, Default)]
pub struct Index {
    pub(super) accounts: Vec<Account>,
    pub(super) profiles: Vec<Profile>,
    pub(super) items: Vec<Item>,
    pub(super) manifest_hash: [u8; 32],
    pub(super) records_hash: [u8; 32],
    pub(super) log: Option<LogAnchor>,
    account_at: HashMap<AccountRef, usize>,
    account_named: HashMap<String, usize>,
    profile_named: HashMap<String, usize>,
    item_at: HashMap<ItemId, usize>,
    /// For each account, in the order of `accounts`, the first and the last of its items.
    chains: Vec<Option<(usize, usize)>>,
    /// For each item, the next one of the same account.
    next: Vec<Option<usize>>,
    /// Where the account of the last item stands.
    last_account: usize,
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

    /// The items of one account, in the order of their records.
    pub fn items_of(&self, account: AccountRef) -> impl Iterator<Item = &Item> {
        let chain = self.account_at.get(&account).and_then(|at| *self.chains.get(*at)?);
        let places = std::iter::successors(chain.map(|(first, _)| first), |at| *self.next.get(*at)?);
        places.filter_map(|at| self.items.get(at))
    }

    /// How far the audit log went when the vault was saved last.
    pub const fn log(&self) -> Option<LogAnchor> {
        self.log
    }

    pub(super) fn add_account(&mut self, account: Account) -> Result<(), VaultError> {
        account.validate()?;
        vacant(self.account_at.contains_key(&account.id))?;
        vacant(self.account_named.contains_key(&account.name))?;
        self.account_at.insert(account.id, self.accounts.len());
        self.account_named.insert(account.name.clone(), self.accounts.len());
        self.accounts.push(account);
        self.chains.push(None);
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
        item.validate()?;
        let place = self.items.len();
        let before = self.items.last().filter(|last| last.account == item.account);
        // Items of one account mostly stand together: its look-up need not be done again for each.
        let at = match before {
            Some(_) => self.last_account,
            None => *self.account_at.get(&item.account).ok_or(VaultError::NotFound)?,
        };
        vacant(self.item_at.insert(item.id, place).is_some())?;
        let chain = self.chains.get_mut(at).ok_or(VaultError::NotFound)?;
        match chain {
            None => *chain = Some((place, place)),
            Some((_, last)) => {
                if let Some(next) = self.next.get_mut(*last) {
                    *next = Some(place);
                }
                *last = place;
            }
        }
        self.last_account = at;
        self.next.push(None);
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
        let Self { mut accounts, mut profiles, mut items, manifest_hash, records_hash, log, .. } =
            std::mem::take(self);
        accounts.retain(account);
        profiles.retain(profile);
        items.retain(item);
        *self = Self { manifest_hash, records_hash, log, ..Self::default() };
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
        self.chains.reserve_exact(accounts.len());
        self.item_at.reserve(items.len());
        self.next.reserve_exact(items.len());
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
        writer.map(if self.log.is_some() { 6 } else { 5 }).uint(0).array(self.accounts.len());
        self.accounts.iter().for_each(|account| account.encode(&mut writer));
        writer.uint(1).array(self.profiles.len());
        self.profiles.iter().for_each(|profile| profile.encode(&mut writer));
        writer.uint(2).array(self.items.len());
        self.items.iter().for_each(|item| item.encode(&mut writer));
        writer.uint(3).bytes(&self.manifest_hash).uint(4).bytes(&self.records_hash);
        if let Some(log) = &self.log {
            log.encode(writer.uint(5));
        }
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
                log: fields.optional(5, LogAnchor::decode)?,
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
