//! Removing an account, which takes its guarded items along.

use super::find;
use crate::service::Service;
use crate::service::error::Error;
use crate::service::guarded::{Done, Guarded, Tools};
use crate::service::house::House;
use crate::service::problem::vault_error;
use crate::service::purpose::{Purpose, identity};
use crate::service::seeds::SeedKey;
use crate::service::who::Who;
use crate::vault::{AccountRef, Class, Guard, ItemKind, Staged};
use std::sync::Arc;

impl Service {
    /// Removes an account with all that it holds; guarded when it holds something guarded.
    ///
    /// # Errors
    /// [`Error::InUse`] while a profile names it; all that a guarded operation can go wrong with.
    pub async fn remove_account(self: &Arc<Self>, name: String, who: Who<'_>) -> Result<(), Error> {
        let request = Arc::new(Remove { name: name.clone() });
        let plan = self.keeper.run({
            let request = Arc::clone(&request);
            move |house| request.plan(house)
        });
        let plan = plan.await?;
        if plan.guarded {
            let Done { yielded, purpose, token, saving, .. } = self.guarded(request, who).await?;
            self.record(who.caller, &purpose, Some(&token)).await?;
            self.save(yielded, saving.ok_or(Error::Failed("no turn to save"))?).await?;
        } else {
            self.record(who.caller, &request.purpose(Some(&plan)), None).await?;
            self.edit(String::new(), move |draft| draft.remove_account(plan.account)).await?;
        }
        self.keeper.ask(move |house| house.sessions.forget(plan.account)).await
    }
}

struct Remove {
    name: String,
}

#[derive(Clone, PartialEq)]
struct RemovePlan {
    account: AccountRef,
    identity: String,
    guarded: bool,
}

impl Guarded for Remove {
    const OPENS_LOCKED: bool = false;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = RemovePlan;
    type Yield = Staged;

    fn plan(&self, house: &House) -> Result<RemovePlan, Error> {
        let index = house.unlocked()?.index();
        let account = find(index, &self.name)?;
        let users: Vec<_> = index
            .profiles()
            .iter()
            .filter(|profile| profile.account == account.id)
            .map(|profile| &*profile.name)
            .collect();
        if !users.is_empty() {
            return Err(Error::InUse(format!(
                "{} is used by the profile {}: remove that first",
                self.name,
                users.join(", ")
            )));
        }
        if index.items_of(account.id).any(|item| item.kind == ItemKind::TotpToken) {
            return Err(Error::InUse(format!(
                "tokens hold a TOTP seed of {0}: remove it first with `rootseal totp remove {0}`",
                self.name
            )));
        }
        Ok(RemovePlan {
            account: account.id,
            identity: identity(&account.name, &account.account_id, account.user.as_deref()),
            guarded: index.items_of(account.id).any(|item| item.class == Class::Guarded),
        })
    }

    fn purpose(&self, plan: Option<&RemovePlan>) -> Purpose {
        let identity = plan.map_or(&*self.name, |plan| &plan.identity);
        Purpose::new("account-remove", format!("remove {identity} with all its keys and seeds for good"))
    }

    fn seed(&self, _: &RemovePlan) -> Option<SeedKey> {
        None
    }

    fn act(&self, plan: &RemovePlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Staged, Error> {
        let mut draft = guard.edit();
        draft
            .remove_account(plan.account)
            .and_then(|()| draft.seal())
            .map_err(|error| vault_error(&error, tools.path))
    }
}
