//! One-time codes. A code that was given out counts as spent, whatever became of it.

use super::error::Error;
use super::guarded::{Done, Guarded, Tools, Unfinished};
use super::house::House;
use super::locks::Asker;
use super::oath::Made;
use super::purpose::{Purpose, identity};
use super::seeds::{Seed, SeedKey, params, seeds_of, the_seed};
use super::who::Who;
use super::{Service, vault_error};
use crate::otp;
use crate::secret::OtpCode;
use crate::token::registry::makes_codes;
use crate::vault::{AccountRef, Guard, Lock, Payload};
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
    /// A code that has not been given out before, and until when it is valid. From the vault's copy of the seed where
    /// a keyslot's token is there, else from a token that has one; from the token that `who` names, if it makes codes.
    ///
    /// # Errors
    /// All that a guarded operation, or a token, can go wrong with.
    pub async fn totp_code(
        self: &Arc<Self>,
        request: CodeRequest,
        who: Who<'_>,
    ) -> Result<(OtpCode, u64), Error> {
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, request.purpose(None));
        let made = self.totp_from_token(&request, who, &mut unfinished).await;
        unfinished.end(made.as_ref().err()).await;
        if let Some(Made { code, valid_until, token, .. }) = made? {
            self.record(who.caller, &unfinished.purpose, Some(&token)).await?;
            return Ok((code, valid_until));
        }
        let Done { yielded, purpose, token, .. } = self.guarded(Arc::new(request), who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        Ok(yielded)
    }

    /// `None`: the vault's copy is to be asked.
    async fn totp_from_token(
        &self,
        request: &CodeRequest,
        who: Who<'_>,
        unfinished: &mut Unfinished,
    ) -> Result<Option<Made>, Error> {
        self.refresh().await?;
        self.demand_reason(who.caller).await?;
        let wanted = request.clone();
        let plan = self.keeper.run(move |house| wanted.plan(house)).await?;
        unfinished.purpose = request.purpose(Some(&plan));
        let asker = Asker { who, purpose: &unfinished.purpose };
        let copies = &plan.seed.copies;
        let named = who.token.filter(|token| makes_codes(token));
        if named.is_some() || (plan.seed.vault.is_none() && who.token.is_none()) {
            return self.code_from_token(&asker, named, copies).await.map(Some);
        }
        if plan.seed.vault.is_none() {
            let tokens: Vec<_> = copies.iter().map(|copy| &*copy.token).collect();
            return Err(Error::SeedElsewhere(format!("{}, and leave --token out", tokens.join(" or "))));
        }
        if copies.is_empty() || who.token.is_some() {
            return Ok(None);
        }
        let (header, _) = self.keeper.glance(House::header).await?;
        let keyslots = match self.find_key(&who, header, Lock::Guard).await {
            Ok(_) => return Ok(None),
            Err(Error::WrongToken(keyslots, _) | Error::WeakToken(_, keyslots, _)) => keyslots,
            // It may be the right one; until it is free, another copy is as good.
            Err(Error::Busy) => {
                return match self.code_from_token(&asker, None, copies).await {
                    Err(Error::SeedElsewhere(_)) => Err(Error::Busy),
                    made => made.map(Some),
                };
            }
            Err(Error::NoToken(_)) => "a keyslot's token".to_owned(),
            Err(error) => return Err(error),
        };
        match self.code_from_token(&asker, None, copies).await {
            Err(Error::SeedElsewhere(tokens)) => Err(Error::SeedElsewhere(format!("{keyslots} or {tokens}"))),
            made => made.map(Some),
        }
    }
}

#[derive(Clone, PartialEq)]
pub(super) struct CodePlan {
    seed: Seed,
    identity: String,
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
        Ok(CodePlan {
            seed: the_seed(seeds_of(house, account)?, &account.name, self.mfa_serial.as_deref())?,
            identity: identity(&account.name, &account.account_id, account.user.as_deref()),
        })
    }

    fn purpose(&self, plan: Option<&CodePlan>) -> Purpose {
        let act = match plan {
            Some(plan) => format!("give out a TOTP code of {}, {}", plan.identity, plan.seed.serial),
            None => "give out a TOTP code".to_owned(),
        };
        Purpose::new("totp-code", act)
    }

    fn seed(&self, plan: &CodePlan) -> Option<SeedKey> {
        Some(plan.seed.key)
    }

    fn act(&self, plan: &CodePlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<(OtpCode, u64), Error> {
        let item = plan.seed.vault.ok_or(Error::Failed("the vault does not hold this seed"))?;
        let payload = guard.secret(item).map_err(|error| vault_error(&error, tools.path))?;
        drop(guard);
        spend(plan.seed.key, &payload, tools)
    }
}

/// Makes the code of this moment, unless it or a later one has been given out, and counts it as spent.
pub(super) fn spend(key: SeedKey, payload: &Payload, tools: &mut Tools<'_>) -> Result<(OtpCode, u64), Error> {
    let Payload::Totp { seed, algorithm, digits, period, .. } = payload else {
        return Err(Error::Failed("this is no TOTP seed"));
    };
    let params = params(algorithm, *digits, *period)?;
    let now = tools.clock.now();
    let step = params.step_at(now);
    let until = params.valid_until(step);
    tools.machine.spend(key, until, now)?;
    Ok((otp::code(seed, &params, step), until))
}
