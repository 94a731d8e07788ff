//! Sessions for a profile: from the cache, or through a request that the client sends and this daemon signs.

mod operation;
mod pending;
mod sign;

pub use operation::{GiveUp, Operation};
pub(super) use pending::Pending;

use super::Service;
use super::accounts::no_profile;
use super::caller::Caller;
use super::error::Error;
use super::house::{House, Vault};
use super::policy::shorter;
use super::purpose::{Purpose, identity};
use super::seeds::{SeedCopy, SeedKey, is_seed, seeds_of};
use super::sessions::SessionKey;
use crate::aws::{AccountId, Endpoint, Partition, Principal, Region, SessionDuration};
use crate::secret::SessionCredentials;
use crate::vault::{Account, ItemId, ItemKind, is_name};
use std::sync::Arc;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialRequest {
    /// The profile's name.
    pub profile: String,
    /// An STS endpoint other than AWS's own.
    pub endpoint: Option<String>,
    /// A region, for profiles that name none.
    pub region: Option<String>,
    /// Rather fail than prompt.
    pub no_prompt: bool,
}

/// What a client gets.
pub enum Answer {
    /// The `credential_process` JSON, and when it expires.
    Ready(Arc<SessionCredentials>, u64),
    /// A signed request has to be sent first.
    Needed(Box<Operation>),
}

/// What the configuration lets a request be.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    endpoints: Vec<String>,
    longest_session: Option<u32>,
}

/// All that the request will be, derived from the open index and the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    account: Account,
    account_id: AccountId,
    duration: SessionDuration,
    access_key: ItemId,
    endpoint: Endpoint,
}

/// Where the code of a session comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// The vault's copy of a seed.
    Vault(ItemId, SeedKey),
    /// A token that has one of these.
    Tokens(Vec<SeedCopy>),
}

impl Plan {
    fn make(house: &House, request: &CredentialRequest, limits: &Limits) -> Result<Self, Error> {
        let index = house.unlocked()?.index();
        let profile = index.profile(&request.profile).ok_or_else(|| no_profile(&request.profile))?;
        let account =
            index.account(profile.account).ok_or(Error::Failed("the profile's account is gone"))?.clone();
        let partition: Partition = account.partition.parse()?;
        let region = profile.region.as_deref().or(request.region.as_deref());
        let region = region.map(|region| Region::parse(region, partition)).transpose()?;
        let principal = if account.user.is_some() { Principal::User } else { Principal::Root };
        let longest =
            shorter(limits.longest_session, house.policy().and_then(|policy| policy.longest_session));
        let seconds = u32::try_from(profile.duration).unwrap_or(u32::MAX).min(longest.unwrap_or(u32::MAX));
        let access_key = index.items_of(account.id).find(|item| item.kind == ItemKind::AccessKey);
        let access_key = access_key.ok_or_else(|| {
            Error::NotFound(format!("access key in {}: `rootseal key import` seals one", account.name))
        })?;
        if !index.items_of(account.id).any(|item| is_seed(item.kind)) {
            return Err(no_seed(&account));
        }
        Ok(Self {
            account_id: account.account_id.parse()?,
            duration: SessionDuration::new(seconds, principal)?,
            access_key: access_key.id,
            endpoint: Endpoint::choose(
                partition,
                region.as_ref(),
                request.endpoint.as_deref(),
                &limits.endpoints,
            )?,
            account,
        })
    }

    fn key(&self, uid: u32) -> SessionKey {
        SessionKey {
            uid,
            account: self.account.id,
            request: "GetSessionToken".to_owned(),
            duration: self.duration.seconds(),
            endpoint: format!("{} {}", self.endpoint.url(), self.endpoint.signing_region().as_str()),
        }
    }

    fn act(&self) -> String {
        let account = &self.account;
        let identity = identity(&account.name, &account.account_id, account.user.as_deref());
        let elsewhere = if self.endpoint.is_plain_http() {
            format!(", at {}", self.endpoint.url())
        } else {
            String::new()
        };
        format!("GetSessionToken, {}, {identity}{elsewhere}", self.duration)
    }
}

/// AWS takes a code of any of the account's devices: the one that has been left alone for longest, of those whose seed
/// the vault has. A token is asked where the vault has none, or where somebody named one.
fn source(house: &House, account: &Account, token_named: bool) -> Result<Source, Error> {
    let mut seeds = seeds_of(house, account)?;
    seeds.sort_by_key(|seed| house.machine.spent.get(&seed.key).copied().unwrap_or(0));
    if !token_named && let Some((item, key)) = seeds.iter().find_map(|seed| Some((seed.vault?, seed.key))) {
        return Ok(Source::Vault(item, key));
    }
    let copies: Vec<_> = seeds.into_iter().flat_map(|seed| seed.copies).collect();
    match (copies.is_empty(), token_named) {
        (false, _) => Ok(Source::Tokens(copies)),
        (true, true) => {
            Err(Error::NotFound(format!("TOTP seed of {} on a token: leave --token out", account.name)))
        }
        (true, false) => Err(no_seed(account)),
    }
}

fn no_seed(account: &Account) -> Error {
    Error::NotFound(format!("TOTP seed in {}: `rootseal totp add` seals one", account.name))
}

impl Service {
    /// A session of a profile: from the cache, or the operation that gets one. Waits while the same is being
    /// asked for by somebody else, whose session then serves both.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`], [`Error::NoPrompt`], [`Error::AuditFailed`]…
    pub async fn credentials(
        self: &Arc<Self>,
        request: CredentialRequest,
        caller: &Caller,
    ) -> Result<Answer, Error> {
        self.plausible(&request)?;
        if let Err(error) = self.demand_reason(caller).await {
            let purpose = Purpose::new("session", format!("a session for the profile {}", request.profile));
            self.record_refusal(caller, &purpose, &error).await;
            return Err(error);
        }
        if let Some(ready) = self.cached(&request, caller).await? {
            return Ok(ready);
        }
        if request.no_prompt {
            let open = self.keeper.glance(|house| house.unlocked().map(|_| ())).await;
            return Err(open.err().unwrap_or(Error::NoPrompt));
        }
        let turn = self.pending.turn(&request, caller);
        let turn = turn.wait(caller).await?;
        // Whoever had the turn before may have left a session.
        if let Some(ready) = self.cached(&request, caller).await? {
            return Ok(ready);
        }
        Ok(Answer::Needed(Box::new(Operation::new(Arc::clone(self), request, caller.clone(), turn))))
    }

    fn limits(&self) -> Limits {
        Limits {
            endpoints: self.settings.allowed_endpoints.clone(),
            longest_session: self.settings.policy.longest_session,
        }
    }

    /// Refuses what no open vault would take either: a locked one shows the request's own words in its prompt.
    fn plausible(&self, request: &CredentialRequest) -> Result<(), Error> {
        if !is_name(&request.profile) {
            return Err(Error::Invalid(
                "a profile's name has 1 to 64 characters, none of them a control character".to_owned(),
            ));
        }
        let allowed = &self.settings.allowed_endpoints;
        let choose = |partition: Partition| {
            Endpoint::choose(
                partition,
                Some(&partition.default_region()),
                request.endpoint.as_deref(),
                allowed,
            )
        };
        if Partition::ALL.into_iter().all(|partition| choose(partition).is_err()) {
            choose(Partition::Aws)?;
        }
        Ok(())
    }

    /// From the cache. A locked vault has none; the profile's name is then checked after it is opened.
    async fn cached(&self, request: &CredentialRequest, caller: &Caller) -> Result<Option<Answer>, Error> {
        let wanted = request.clone();
        let limits = self.limits();
        let clock = Arc::clone(&self.clock);
        let uid = caller.uid;
        let found = self
            .keeper
            .glance(move |house| {
                if matches!(house.vault, Vault::Locked(_)) {
                    return Ok(None);
                }
                let plan = Plan::make(house, &wanted, &limits)?;
                Ok(house
                    .sessions
                    .get(&plan.key(uid), &clock)
                    .map(|(session, until)| (plan.act(), session, until)))
            })
            .await?;
        let Some((act, session, expiration)) = found else { return Ok(None) };
        let purpose = Purpose::new("session-cached", format!("hand out again: {act}"));
        self.record(caller, &purpose, None).await?;
        Ok(Some(Answer::Ready(session, expiration)))
    }
}
