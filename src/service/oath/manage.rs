//! The accounts that are on a token, whoever put them there.

use crate::channel::Patience;
use crate::secret::Pin;
use crate::service::Service;
use crate::service::error::Error;
use crate::service::guarded::Unfinished;
use crate::service::house::{House, Vault};
use crate::service::locks::{Asker, QUESTION, name};
use crate::service::purpose::{Purpose, identity};
use crate::service::seeds::{is_seed, seeds_of};
use crate::service::who::Who;
use crate::token::registry::PresentCodes;
use crate::token::{Access, CodeToken, OathKind, OathName, TokenError};
use std::sync::Arc;

/// Bytes of the longest password: as long as the longest PIN, since they are asked for in the same way.
const LONGEST: usize = 63;
/// Bytes of the longest name of an account: a token holds 64, and a period may stand before them.
const LONGEST_NAME: usize = 80;

/// An account on a token, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OathEntry {
    /// The token's own words, without control characters.
    pub name: String,
    /// `totp` or `hotp`
    pub kind: &'static str,
    /// `SHA1`, `SHA256` or `SHA512`
    pub algorithm: &'static str,
    /// Seconds of a step; 0 of an account with a counter.
    pub period: u32,
}

/// What is to be changed on a token.
pub enum OathChange {
    /// The name of an account: from, to.
    Rename(String, String),
    /// An account is to go, with its seed.
    Remove(String),
    /// Another password; none: without one.
    Password(Option<Pin>),
}

impl OathChange {
    fn purpose(&self) -> Purpose {
        match self {
            Self::Rename(from, to) => {
                Purpose::new("oath-rename", format!("rename its OATH account {from} to {to}"))
            }
            Self::Remove(name) => {
                Purpose::new("oath-remove", format!("remove its OATH account {name} with its seed for good"))
            }
            Self::Password(Some(_)) => {
                Purpose::new("oath-set-password", "set the password of its OATH accounts")
            }
            Self::Password(None) => {
                Purpose::new("oath-set-password", "take away the password of its OATH accounts")
            }
        }
    }

    /// Refuses what no token would take; it stands in a prompt and in the audit log before a token is asked.
    fn check(&self) -> Result<(), Error> {
        let odd = |name: &String| {
            name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control)
        };
        let names = match self {
            Self::Rename(from, to) => vec![from, to],
            Self::Remove(name) => vec![name],
            Self::Password(_) => Vec::new(),
        };
        if names.into_iter().any(odd) {
            return Err(Error::Invalid(format!(
                "the name of an OATH account has 1 to {LONGEST_NAME} bytes and no control characters"
            )));
        }
        match self {
            Self::Password(Some(password))
                if password.with(|password| !(1..=LONGEST).contains(&password.len())) =>
            {
                Err(Error::Invalid(format!("a password has 1 to {LONGEST} bytes")))
            }
            Self::Rename(..) | Self::Remove(_) | Self::Password(_) => Ok(()),
        }
    }

    /// The account that it is about.
    fn account(&self) -> Option<&str> {
        match self {
            Self::Rename(name, _) | Self::Remove(name) => Some(name),
            Self::Password(_) => None,
        }
    }
}

impl Service {
    /// The accounts on the token that `who` names.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has none; [`Error::PasswordInvalid`]; all that a prompt can go wrong with.
    pub async fn oath_accounts(&self, who: Who<'_>) -> Result<Vec<OathEntry>, Error> {
        let purpose = Purpose::new("oath-list", "list its OATH accounts");
        let asker = Asker { who, purpose: &purpose };
        let token = self.code_token(who.token).await?;
        let access = {
            let _turn = self.turn.lock().await;
            let _held = token.worker.hold();
            let access = match super::device_id(&token).await {
                Ok(device) => self.access(&asker, &token, &name(&token), &device).await,
                Err(error) => Err(error.into()),
            };
            who.prompter.done().await.unwrap_or(());
            access?
        };
        let contents = token.worker.run(QUESTION, move |token, patience| token.contents(&access, patience));
        let entry = |account: &crate::token::OathAccount| OathEntry {
            name: account.name.text().chars().filter(|c| !c.is_control()).collect(),
            kind: match account.kind {
                OathKind::Totp => "totp",
                OathKind::Hotp => "hotp",
            },
            algorithm: account.hash.name(),
            period: if account.kind == OathKind::Totp { account.name.period() } else { 0 },
        };
        Ok(contents.await?.accounts.iter().map(entry).collect())
    }

    /// Changes what is on the token that `who` names. Somebody must have seen that it does, and could refuse.
    ///
    /// # Errors
    /// [`Error::InUse`] for an account that the vault counts on, [`Error::Locked`] where that cannot be known;
    /// as [`Self::oath_accounts`].
    pub async fn change_oath(self: &Arc<Self>, change: OathChange, who: Who<'_>) -> Result<(), Error> {
        change.check()?;
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, change.purpose());
        let result = self.change(change, who).await;
        unfinished.end(result.as_ref().err()).await;
        result
    }

    async fn change(&self, change: OathChange, who: Who<'_>) -> Result<(), Error> {
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let purpose = change.purpose();
        let asker = Asker { who, purpose: &purpose };
        let token = self.code_token(who.token).await?;
        let _turn = self.turn.lock().await;
        let _held = token.worker.hold();
        let changed = self.change_on(&asker, &token, change).await;
        who.prompter.done().await.unwrap_or(());
        changed
    }

    async fn change_on(
        &self,
        asker: &Asker<'_>,
        token: &PresentCodes,
        change: OathChange,
    ) -> Result<(), Error> {
        let label = name(token);
        let device = super::device_id(token).await?;
        let access = self.access(asker, token, &label, &device).await?;
        let found = match change.account() {
            Some(account) => Some(self.account_on(token, &access, account).await?),
            None => None,
        };
        self.announce(asker, token, &label, false).await?;
        self.record(asker.who.caller, asker.purpose, Some(&label)).await?;
        let job = move |token: &mut (dyn CodeToken + 'static), patience: &Patience| match (&change, &found) {
            (OathChange::Rename(_, to), Some(from)) => {
                // The period stands in the name, and stays.
                let to = OathName::with_period(to, from.period())?;
                token.rename(&access, from, &to, patience)
            }
            (OathChange::Remove(_), Some(name)) => token.remove(&access, name, patience),
            (OathChange::Password(password), _) => token.set_password(&access, password.as_ref(), patience),
            (OathChange::Rename(..) | OathChange::Remove(_), None) => Err(TokenError::NoAccount),
        };
        Ok(token.worker.run(QUESTION, job).await?)
    }

    /// The one account that people call so; not one that the vault counts on.
    async fn account_on(
        &self,
        token: &PresentCodes,
        access: &Arc<Access>,
        wanted: &str,
    ) -> Result<OathName, Error> {
        let asked = Arc::clone(access);
        let contents =
            token.worker.run(QUESTION, move |token, patience| token.contents(&asked, patience)).await?;
        let mut fit = contents.accounts.into_iter().map(|account| account.name);
        let mut fit = fit.by_ref().filter(|name| name.text() == wanted || name.bytes() == wanted.as_bytes());
        let account = match (fit.next(), fit.next()) {
            (Some(account), None) => account,
            (Some(_), Some(_)) => {
                return Err(Error::Invalid(format!(
                    "the token has several OATH accounts called {wanted}: say which with its period, as in 60/{wanted}"
                )));
            }
            (None, _) => {
                return Err(Error::NotFound(format!(
                    "OATH account called {wanted} on the token: `rootseal oath list` shows them"
                )));
            }
        };
        let (device, name) = (access.device.clone(), account.clone());
        self.keeper.run(move |house| counted_on(house, &device, &name)).await?;
        Ok(account)
    }
}

/// Refuses if a seed of the vault's accounts is that account on that token.
fn counted_on(house: &House, device: &[u8], name: &OathName) -> Result<(), Error> {
    if matches!(house.vault, Vault::Absent) {
        return Ok(());
    }
    let index = house.unlocked()?.index();
    for account in index.accounts() {
        if !index.items_of(account.id).any(|item| is_seed(item.kind)) {
            continue;
        }
        let copies = seeds_of(house, account)?.into_iter().flat_map(|seed| seed.copies);
        if copies.into_iter().any(|copy| copy.device == device && copy.name == *name) {
            let whose = identity(&account.name, &account.account_id, account.user.as_deref());
            return Err(Error::InUse(format!(
                "it is the TOTP seed of {whose}: `rootseal totp remove {}` removes it",
                account.name
            )));
        }
    }
    Ok(())
}
