//! Tokens that make one-time codes: finding the one that holds a seed, its password, its codes.

mod add;
mod manage;
mod remove;

pub use add::OnTokens;
pub use manage::{OathChange, OathEntry};
pub use remove::RemoveTotp;

use super::Service;
use super::error::{Error, Hints};
use super::guarded::Wait;
use super::house::House;
use super::locks::{Asker, PATIENCE, QUESTION, list, name, no_such_token};
use super::seeds::{SeedCopy, seeds_of};
use crate::channel::Patience;
use crate::secret::OtpCode;
use crate::token::prompter::Refusal;
use crate::token::registry::{Patient, PresentCodes, makes_codes};
use crate::token::trouble::Reason;
use crate::token::{Access, CodeToken, TokenError};
use std::sync::Arc;

/// How often a code is asked for whose step ends before the token is touched.
const TRIES: usize = 3;

/// A code, until when it is valid (seconds since 1970-01-01 UTC), and where it came from.
pub(super) struct Made {
    pub(super) code: OtpCode,
    pub(super) valid_until: u64,
    pub(super) copy: SeedCopy,
    /// The token's name.
    pub(super) token: String,
}

impl Service {
    /// All connected tokens that make codes, and whether there may be more that could not be asked; or the one that
    /// was named.
    async fn code_tokens(&self, wanted: Option<&str>) -> Result<(Vec<PresentCodes>, bool), Error> {
        let (mut present, troubles) = self.look_for_tokens().await?.codes(Patient::Yes).await;
        let unasked = troubles.iter().any(|trouble| matches!(trouble.reason, Reason::Busy | Reason::Silent));
        if let Some(wanted) = wanted {
            present.retain(|token| token.id == wanted);
            if present.is_empty() && !makes_codes(wanted) {
                self.present_tokens(Some(wanted)).await?;
                return Err(Error::Invalid(format!(
                    "the token {wanted} has no OATH accounts: `rootseal token list` shows those of the kind oath"
                )));
            }
            if present.is_empty() && !unasked {
                return Err(no_such_token(wanted));
            }
        }
        if present.is_empty() {
            return Err(if unasked { Error::Busy } else { Error::NoToken(Hints::of(troubles)) });
        }
        Ok((present, unasked && wanted.is_none()))
    }

    /// The connected token that makes codes: the one that was named, or the only one.
    async fn code_token(&self, wanted: Option<&str>) -> Result<PresentCodes, Error> {
        let (mut present, _) = self.code_tokens(wanted).await?;
        if present.len() > 1 {
            return Err(Error::TokenChoice(list(present.iter())));
        }
        present.pop().ok_or_else(|| Error::NoToken(Hints::default()))
    }

    /// A connected token that holds one of these, found by what its OATH application calls itself.
    pub(super) async fn find_copy(
        &self,
        wanted: Option<&str>,
        copies: &[SeedCopy],
    ) -> Result<(PresentCodes, SeedCopy), Error> {
        let elsewhere = || {
            let tokens: Vec<_> = copies.iter().map(|copy| &*copy.token).collect();
            Error::SeedElsewhere(tokens.join(" or "))
        };
        let (present, mut unasked) = match self.code_tokens(wanted).await {
            Ok(found) => found,
            Err(Error::NoToken(_)) => return Err(elsewhere()),
            Err(error) => return Err(error),
        };
        for token in present {
            match device_id(&token).await {
                Ok(device) => {
                    if let Some(copy) = copies.iter().find(|copy| copy.device == device) {
                        return Ok((token, copy.clone()));
                    }
                }
                Err(error) => unasked |= says_nothing(&error),
            }
        }
        Err(if unasked { Error::Busy } else { elsewhere() })
    }

    /// Opens the accounts of the token that calls itself `device`: asks for the password, where it has one, until it is
    /// right or refused. Whatever has been put into its place meanwhile is neither opened nor shown the password. The
    /// caller holds the turn.
    async fn access(
        &self,
        asker: &Asker<'_>,
        token: &PresentCodes,
        label: &str,
        device: &[u8],
    ) -> Result<Arc<Access>, Error> {
        let mut failed = false;
        let mut password = None;
        loop {
            let device = device.to_vec();
            match token
                .worker
                .run(QUESTION, move |token, patience| token.open(&device, password.as_ref(), patience))
                .await
            {
                Ok(access) => return Ok(Arc::new(access)),
                Err(TokenError::PasswordNeeded) => {}
                Err(TokenError::PasswordInvalid) => failed = true,
                Err(error) => return Err(error.into()),
            }
            let ask = self.ask(asker, &token.id, label);
            let typed = asker.who.prompter.password(ask, failed);
            password = match tokio::time::timeout(PATIENCE, typed).await {
                Ok(Ok(password)) => Some(password),
                Ok(Err(Refusal::Refused)) if failed => return Err(Error::PasswordInvalid),
                Ok(Err(Refusal::Refused)) => return Err(Error::Cancelled),
                Ok(Err(Refusal::NoSurface)) => return Err(Error::NoPrompt),
                Err(_elapsed) => return Err(Error::TimedOut),
            };
        }
    }

    /// A code of one of these copies, for a step of which none was given out. The step counts as spent, and that is
    /// on the disk, when this returns. The caller records and releases.
    pub(super) async fn code_from_token(
        &self,
        asker: &Asker<'_>,
        wanted: Option<&str>,
        copies: &[SeedCopy],
    ) -> Result<Made, Error> {
        if !asker.who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let (token, copy) = self.find_copy(wanted, copies).await?;
        let label = name(&token);
        let fresh = if copy.touch { Wait::ForTouch(copy.key, copy.params) } else { Wait::For(copy.key) };
        let mut access = None;
        let mut tries = TRIES;
        while tries > 0 {
            self.wait_for_fresh_step(fresh, asker.who.prompter).await?;
            let _turn = self.turn.lock().await;
            if self.missing(fresh).await? > 0 {
                continue;
            }
            let held = token.worker.hold();
            let question = self.ask_for_code(asker, &token, &label, &copy, &mut access);
            let answer = self.unless_locked(asker, question).await;
            drop(held);
            asker.who.prompter.done().await.unwrap_or(());
            if let Err(Error::Cancelled) = answer {
                // By whoever locked the vault meanwhile, or by somebody who said no.
                self.keeper.glance(|house| house.unlocked().map(|_open| ())).await?;
            }
            let (code, valid_until) = answer?;
            // A code whose step ended while nobody touched the token is no use, and was not given out.
            if valid_until > self.clock.now() {
                self.spend(copy.clone(), valid_until).await?;
                return Ok(Made { code, valid_until, copy, token: label });
            }
            tries = tries.saturating_sub(1);
        }
        Err(Error::TimedOut)
    }

    async fn ask_for_code(
        &self,
        asker: &Asker<'_>,
        token: &PresentCodes,
        label: &str,
        copy: &SeedCopy,
        access: &mut Option<Arc<Access>>,
    ) -> Result<(OtpCode, u64), Error> {
        let access = match access {
            Some(access) => Arc::clone(access),
            None => Arc::clone(access.insert(self.access(asker, token, label, &copy.device).await?)),
        };
        let (name, touch, clock, params) =
            (copy.name.clone(), copy.touch, Arc::clone(&self.clock), copy.params);
        if touch {
            // The step is that of the moment at which the token is asked.
            let job = move |token: &mut (dyn CodeToken + 'static),
                            patience: &Patience,
                            blinks: &mut dyn FnMut()| {
                let step = params.step_at(clock.now());
                blinks();
                Ok((token.code(&access, &name, step, patience)?, params.valid_until(step)))
            };
            return self.touch(asker, token, label, true, job).await;
        }
        self.announce(asker, token, label, false).await?;
        if let Some(jump) = self.clock.jump() {
            // Nobody vouches for the time.
            return Err(Error::ClockUnconfirmed(jump));
        }
        let job = token.worker.run(PATIENCE, move |token, patience| {
            let step = params.step_at(clock.now());
            Ok((token.code(&access, &name, step, patience)?, params.valid_until(step)))
        });
        Ok(job.await?)
    }

    /// Counts the step as spent, unless the seed is no longer the account's.
    async fn spend(&self, copy: SeedCopy, until: u64) -> Result<(), Error> {
        let now = self.clock.now();
        self.keeper
            .run(move |house| {
                if !is_there(house, &copy)? {
                    return Err(Error::Failed(
                        "the vault changed while the prompt was shown: nothing was done",
                    ));
                }
                house.machine.spend(copy.key, until, now)
            })
            .await?;
        self.remember().await
    }
}

fn is_there(house: &House, copy: &SeedCopy) -> Result<bool, Error> {
    let Some(account) = house.unlocked()?.index().account(copy.account) else { return Ok(false) };
    Ok(seeds_of(house, account)?.iter().any(|seed| seed.copies.contains(copy)))
}

/// What the token's OATH application calls itself.
async fn device_id(token: &PresentCodes) -> Result<Vec<u8>, TokenError> {
    token.worker.run(QUESTION, CodeToken::device_id).await
}

/// Whether a token is there but cannot be asked for now, so that nobody knows what it holds.
const fn says_nothing(error: &TokenError) -> bool {
    matches!(error, TokenError::Busy | TokenError::TimedOut)
}
