//! Taking a seed away: from the vault, from tokens, or from all of them. The tokens come first and the vault last, so
//! that whatever fails in between can be done again.

use crate::service::Service;
use crate::service::error::Error;
use crate::service::guarded::{Done, Guarded, Tools, Unfinished};
use crate::service::house::House;
use crate::service::items::by_id;
use crate::service::locks::{Asker, QUESTION, name};
use crate::service::problem::vault_error;
use crate::service::purpose::{Purpose, identity};
use crate::service::seeds::{Seed, SeedCopy, SeedKey, seeds_of, the_seed};
use crate::service::who::Who;
use crate::token::registry::PresentCodes;
use crate::token::{Access, TokenError};
use crate::vault::{AccountRef, Draft, Guard, ItemId, Staged};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Which seed is to go, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveTotp {
    /// Of which account.
    pub account: AccountRef,
    /// Of which MFA device; needed where there are several.
    pub mfa_serial: Option<String>,
    /// The tokens, by id, whose copies are to go; none: every copy, the vault's too.
    pub from_tokens: Vec<String>,
}

/// A connected token with a copy, opened.
struct Here {
    token: PresentCodes,
    label: String,
    access: Arc<Access>,
    copy: SeedCopy,
}

/// What the index says.
#[derive(Clone, PartialEq)]
struct RemovePlan {
    seed: Seed,
    identity: String,
}

impl RemoveTotp {
    fn look(&self, house: &House) -> Result<RemovePlan, Error> {
        let account = by_id(house.unlocked()?.index(), self.account)?;
        let seed = the_seed(seeds_of(house, account)?, &account.name, self.mfa_serial.as_deref())?;
        let identity = identity(&account.name, &account.account_id, account.user.as_deref());
        Ok(RemovePlan { seed, identity })
    }
}

impl RemovePlan {
    /// Names the places that it goes from: connected tokens, and the vault where that has it and gives it up.
    fn purpose<'a>(&self, labels: impl Iterator<Item = &'a str>, everywhere: bool) -> Purpose {
        let Self { seed: Seed { serial, vault, .. }, identity } = self;
        let in_vault = everywhere && vault.is_some();
        let places: Vec<_> = labels.chain(in_vault.then_some("the vault")).collect();
        let act = if places.is_empty() {
            format!("forget which tokens have the TOTP seed of {serial} of {identity}")
        } else {
            format!("remove the TOTP seed of {serial} of {identity} from {} for good", places.join(" and "))
        };
        Purpose::new("totp-remove", act)
    }
}

impl Service {
    /// Removes a seed. Returns the tokens that a copy is left on, because they are not connected: the vault forgets
    /// them all the same.
    ///
    /// # Errors
    /// [`Error::NotFound`]; all that a token and, for the vault's copy, a guarded operation can go wrong with.
    pub async fn remove_totp(
        self: &Arc<Self>,
        request: RemoveTotp,
        who: Who<'_>,
    ) -> Result<Vec<String>, Error> {
        let first = Purpose::new("totp-remove", "remove a TOTP seed");
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, first);
        let looked = self.look_and_open(&request, who, &mut unfinished).await;
        unfinished.end(looked.as_ref().err()).await;
        let (plan, here, left) = looked?;
        let everywhere = request.from_tokens.is_empty();
        let gone: Vec<_> = if everywhere {
            plan.seed.copies.iter().map(|copy| copy.item).chain(plan.seed.vault).collect()
        } else {
            here.iter().map(|here| here.copy.item).collect()
        };
        let (purpose, staged) = if everywhere && plan.seed.vault.is_some() {
            let labels = here.iter().map(|here| here.label.clone()).collect();
            let guarded = Arc::new(RemoveGuarded { request, plan, gone: gone.clone(), labels });
            let Done { yielded, purpose, token, saving, .. } = self.guarded(guarded, who).await?;
            self.record(who.caller, &purpose, Some(&token)).await?;
            (purpose, Some((yielded, saving.ok_or(Error::Failed("no turn to save"))?)))
        } else {
            let purpose = plan.purpose(here.iter().map(|here| &*here.label), everywhere);
            self.record(who.caller, &purpose, None).await?;
            (purpose, None)
        };
        // To its end, also when its caller is gone.
        let service = Arc::clone(self);
        let removed = tokio::spawn(async move { service.remove_all(here, gone, staged).await });
        let removed =
            removed.await.map_err(|_panicked| Error::Failed("removing the seed was interrupted"))?;
        if let Err(error) = &removed {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        removed.map(|()| left)
    }

    /// The tokens that are there and have a copy that is to go, opened, and the names of those that are not there.
    async fn look_and_open(
        &self,
        request: &RemoveTotp,
        who: Who<'_>,
        unfinished: &mut Unfinished,
    ) -> Result<(RemovePlan, Vec<Here>, Vec<String>), Error> {
        self.refresh().await?;
        let wanted = request.clone();
        let plan = self.keeper.run(move |house| wanted.look(house)).await?;
        let found = self.find_copies(&plan.seed, &request.from_tokens).await?;
        let everywhere = request.from_tokens.is_empty();
        let labels: Vec<_> = found.iter().map(|(token, _)| name(token)).collect();
        let purpose = plan.purpose(labels.iter().map(|label| &**label), everywhere);
        unfinished.purpose = purpose.clone();
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let asker = Asker { who, purpose: &purpose };
        let mut here = Vec::new();
        for (token, copy) in found {
            let opened = self.open_for_removal(&asker, token, copy).await;
            who.prompter.done().await.unwrap_or(());
            here.push(opened?);
        }
        let absent = |copy: &&SeedCopy| everywhere && !here.iter().any(|here| here.copy == **copy);
        let left = plan.seed.copies.iter().filter(absent).map(|copy| copy.token.clone()).collect();
        Ok((plan, here, left))
    }

    /// Says why, and opens the token.
    async fn open_for_removal(
        &self,
        asker: &Asker<'_>,
        token: PresentCodes,
        copy: SeedCopy,
    ) -> Result<Here, Error> {
        let _turn = self.turn.lock().await;
        let held = token.worker.hold();
        let label = name(&token);
        let access = self.access(asker, &token, &label, &copy.device).await?;
        self.announce(asker, &token, &label, false).await?;
        drop(held);
        Ok(Here { token, label, access, copy })
    }

    /// Those of a seed's copies whose tokens are connected; where tokens are named, each of them must have one. None
    /// is missed because its token cannot be asked for now: it would be taken for one that is not connected.
    async fn find_copies(
        &self,
        seed: &Seed,
        named: &[String],
    ) -> Result<Vec<(PresentCodes, SeedCopy)>, Error> {
        let (mut present, mut unasked) = (Vec::new(), false);
        for id in named {
            present.push(self.code_token(Some(id)).await?);
        }
        if named.is_empty() && !seed.copies.is_empty() {
            (present, unasked) = match self.code_tokens(None).await {
                Ok(found) => found,
                Err(Error::NoToken(_)) => (Vec::new(), false),
                Err(error) => return Err(error),
            };
        }
        let mut found: Vec<(PresentCodes, SeedCopy)> = Vec::new();
        for token in present {
            let device = match super::device_id(&token).await {
                Ok(device) => device,
                Err(error) if named.is_empty() => {
                    unasked |= super::says_nothing(&error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match seed.copies.iter().find(|copy| copy.device == device) {
                Some(copy) if !found.iter().any(|(_, other)| other == copy) => {
                    found.push((token, copy.clone()));
                }
                Some(_) => {}
                None if named.is_empty() => {}
                None => {
                    let label = name(&token);
                    return Err(Error::NotFound(format!(
                        "TOTP seed of {} on {label}: `rootseal totp list` shows where it is",
                        seed.serial
                    )));
                }
            }
        }
        if unasked && found.len() < seed.copies.len() {
            return Err(Error::Busy);
        }
        Ok(found)
    }

    async fn remove_all(
        self: &Arc<Self>,
        here: Vec<Here>,
        gone: Vec<ItemId>,
        staged: Option<(Staged, OwnedMutexGuard<()>)>,
    ) -> Result<(), Error> {
        for Here { token, access, copy, .. } in here {
            let removed = token
                .worker
                .run(QUESTION, move |token, patience| token.remove(&access, &copy.name, patience))
                .await;
            match removed {
                // Somebody else removed it.
                Ok(()) | Err(TokenError::NoAccount) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some((staged, saving)) = staged {
            return self.save(staged, saving).await;
        }
        let forget =
            move |draft: &mut Draft<'_>| gone.into_iter().try_for_each(|item| draft.remove_item(item));
        self.edit(String::new(), forget).await
    }
}

/// The part of it that takes the vault's copy away.
struct RemoveGuarded {
    request: RemoveTotp,
    plan: RemovePlan,
    gone: Vec<ItemId>,
    labels: Vec<String>,
}

impl Guarded for RemoveGuarded {
    const OPENS_LOCKED: bool = false;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = RemovePlan;
    type Yield = Staged;

    fn plan(&self, house: &House) -> Result<RemovePlan, Error> {
        let plan = self.request.look(house)?;
        if plan == self.plan {
            Ok(plan)
        } else {
            Err(Error::Failed("the vault changed meanwhile: try again"))
        }
    }

    fn purpose(&self, _: Option<&RemovePlan>) -> Purpose {
        self.plan.purpose(self.labels.iter().map(|label| &**label), true)
    }

    fn seed(&self, _: &RemovePlan) -> Option<SeedKey> {
        None
    }

    fn act(&self, _: &RemovePlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Staged, Error> {
        let mut draft = guard.edit();
        let removed = self.gone.iter().try_for_each(|item| draft.remove_item(*item));
        removed.and_then(|()| draft.seal()).map_err(|error| vault_error(&error, tools.path))
    }
}
