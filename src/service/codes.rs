//! One-time codes. A code that was given out counts as spent, whatever became of it.

use super::error::Error;
use super::guarded::{Done, Guarded, Tools};
use super::house::House;
use super::purpose::{Purpose, identity};
use super::who::Who;
use super::{Service, vault_error};
use crate::otp::{self, Algorithm, TotpParams};
use crate::secret::OtpCode;
use crate::vault::{AccountRef, Guard, Index, Item, ItemId, ItemKind, Payload};
use std::sync::Arc;

/// Which code is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRequest {
    /// Of which account.
    pub account: AccountRef,
    /// Of which MFA device; needed where there are several.
    pub mfa_serial: Option<String>,
}

impl Service {
    /// A code that has not been given out before, and until when it is valid.
    ///
    /// # Errors
    /// All that a guarded operation can go wrong with.
    pub async fn totp_code(
        self: &Arc<Self>,
        request: CodeRequest,
        who: Who<'_>,
    ) -> Result<(OtpCode, u64), Error> {
        let Done { yielded, purpose, token, .. } = self.guarded(Arc::new(request), who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        Ok(yielded)
    }
}

#[derive(Clone, PartialEq)]
pub(super) struct CodePlan {
    item: ItemId,
    identity: String,
    serial: String,
}

impl Guarded for CodeRequest {
    const OPENS_LOCKED: bool = false;
    const SPENDS_CODE: bool = true;
    const SAVES: bool = false;
    type Plan = CodePlan;
    type Yield = (OtpCode, u64);

    fn plan(&self, house: &House) -> Result<CodePlan, Error> {
        let index = house.unlocked()?.index();
        let account =
            index.account(self.account).ok_or_else(|| Error::NotFound("such account".to_owned()))?;
        let item = seed_of(index, self.account, self.mfa_serial.as_deref())?;
        Ok(CodePlan {
            item: item.id,
            identity: identity(&account.name, &account.account_id, account.user.as_deref()),
            serial: item.public_text.as_deref().unwrap_or_default().to_owned(),
        })
    }

    fn purpose(&self, plan: Option<&CodePlan>) -> Purpose {
        let act = match plan {
            Some(plan) => format!("give out a TOTP code of {}, {}", plan.identity, plan.serial),
            None => "give out a TOTP code".to_owned(),
        };
        Purpose::new("totp-code", act)
    }

    fn seed(&self, plan: &CodePlan) -> Option<ItemId> {
        Some(plan.item)
    }

    fn act(&self, plan: &CodePlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<(OtpCode, u64), Error> {
        let payload = guard.secret(plan.item).map_err(|error| vault_error(&error, tools.path))?;
        drop(guard);
        spend(plan.item, &payload, tools)
    }
}

/// The seed of an account: the one that was named, or the only one.
pub(super) fn seed_of<'i>(
    index: &'i Index,
    account: AccountRef,
    serial: Option<&str>,
) -> Result<&'i Item, Error> {
    let mut seeds = index
        .items_of(account)
        .filter(|item| item.kind == ItemKind::Totp)
        .filter(|item| serial.is_none() || item.public_text.as_deref() == serial);
    let name = index.account(account).map_or("", |account| &account.name);
    match (seeds.next(), seeds.next()) {
        (Some(seed), None) => Ok(seed),
        (Some(_), Some(_)) => {
            Err(Error::Invalid(format!("{name} has several TOTP seeds: name one with --mfa-serial")))
        }
        (None, _) => Err(Error::NotFound(format!("such TOTP seed in {name}: `rootseal totp add` adds one"))),
    }
}

/// Makes the code of this moment, unless it or a later one has been given out, and counts it as spent.
pub(super) fn spend(item: ItemId, payload: &Payload, tools: &mut Tools<'_>) -> Result<(OtpCode, u64), Error> {
    let Payload::Totp { seed, algorithm, digits, period, .. } = payload else {
        return Err(Error::Failed("this is no TOTP seed"));
    };
    let algorithm = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|known| known.name() == algorithm)
        .ok_or(Error::Failed("the TOTP seed wants an unknown algorithm"))?;
    let digits = u8::try_from(*digits).unwrap_or(u8::MAX);
    let params = TotpParams::new(algorithm, digits, *period)?;
    let step = params.step_at(tools.clock.now());
    let until = params.valid_until(step);
    let spent = tools.machine.spent.get(&item).copied().unwrap_or(0);
    if until <= spent {
        return Err(Error::ClockJumped(spent.saturating_sub(tools.clock.now())));
    }
    tools.machine.spent.insert(item, until);
    Ok((otp::code(seed, &params, step), until))
}
