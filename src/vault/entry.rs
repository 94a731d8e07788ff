//! The entries of the index.

use super::cbor::{Malformed, Reader, Writer};
use super::names::{self, LONG, SHORT};
use super::{AccountRef, Class, ItemId, ItemKind, VaultError};
use std::ops::Range;
use std::sync::Arc;

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

impl Account {
    pub(super) fn validate(&self) -> Result<(), VaultError> {
        names::name(&self.name, "account name")?;
        names::account_id(&self.account_id)?;
        names::partition(&self.partition)?;
        names::optional(self.user.as_deref(), SHORT, "user")?;
        names::optional(self.email.as_deref(), LONG, "e-mail")
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let optional = usize::from(self.user.is_some()).saturating_add(self.email.is_some().into());
        writer.map(optional.saturating_add(5)).uint(0).bytes(self.id.as_bytes());
        writer.uint(1).text(&self.name).uint(2).text(&self.account_id).uint(3).text(&self.partition);
        writer.field(4, self.user.as_deref()).field(5, self.email.as_deref()).uint(6).uint(self.created);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
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
    pub(super) fn validate(&self) -> Result<(), VaultError> {
        names::name(&self.name, "profile name")?;
        names::text(&self.request, SHORT, "request")?;
        names::optional(self.region.as_deref(), SHORT, "region")
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.map(if self.region.is_some() { 6 } else { 5 });
        writer.uint(0).text(&self.name).uint(1).bytes(self.account.as_bytes());
        writer.uint(2).text(&self.request).uint(3).uint(self.duration);
        writer.field(4, self.region.as_deref()).uint(5).uint(self.created);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
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
    pub(super) fn validate(&self) -> Result<(), VaultError> {
        names::optional(self.public_text.as_deref(), LONG, "public text")?;
        if self.version == 0 { Err(VaultError::Invalid("item version")) } else { Ok(()) }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.map(if self.public_text.is_some() { 8 } else { 7 });
        writer.uint(0).bytes(self.id.as_bytes()).uint(1).bytes(self.account.as_bytes());
        writer.uint(2).text(self.kind.as_str()).uint(3).uint(self.class.byte().into());
        writer.uint(4).uint(self.version).uint(5).size(self.length).uint(6).uint(self.created);
        writer.field(7, self.public_text.as_deref());
    }

    pub(super) fn decode(reader: &mut Reader<'_>, start: usize) -> Result<Self, Malformed> {
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
