//! One session from the first prompt to AWS's answer. Each step counts once.

use super::pending::Turn;
use super::sign::{Sign, SignPlan, Signed};
use super::{CredentialRequest, Plan, Source};
use crate::aws::{self, SignedRequest};
use crate::secret::SessionCredentials;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::error::Error;
use crate::service::guarded::{Done, Guarded as _, Unfinished};
use crate::service::house::Vault;
use crate::service::locks::Asker;
use crate::service::purpose::Purpose;
use crate::service::who::Who;
use crate::token::prompter::Prompter;
use crate::token::registry::makes_codes;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A guarded operation that needs the network, which only the client has.
pub struct Operation {
    service: Arc<Service>,
    caller: Caller,
    step: Step,
    /// Kept to its end, so that whoever asks for the same waits for this one.
    turn: Turn,
}

enum Step {
    Made(CredentialRequest),
    Sent(Plan),
    Over,
}

/// Why a client gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The endpoint was not reached.
    Unreachable,
    /// The endpoint could not prove who it is.
    Tls,
    /// Somebody changed their mind.
    Cancelled,
}

impl Operation {
    pub(super) fn new(service: Arc<Service>, request: CredentialRequest, caller: Caller, turn: Turn) -> Self {
        Self { service, caller, step: Step::Made(request), turn }
    }

    /// Who started it: nobody else may go on with it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Prompts, and gives the signed request in the form of [`aws::SignedRequest::encode`].
    ///
    /// # Errors
    /// All that a guarded operation can go wrong with. There is no second try.
    pub async fn next(
        &mut self,
        prompter: &dyn Prompter,
        token: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Step::Made(request) = std::mem::replace(&mut self.step, Step::Over) else {
            return Err(Error::Invalid("this operation has no further request".to_owned()));
        };
        let others = || self.turn.others();
        let who = Who { caller: &self.caller, prompter, token, others: &others };
        let signed = self.sign(request, who).await;
        if let Err(Error::Cancelled | Error::TimedOut) = &signed {
            // One no answers all who wait for the same.
            self.turn.refuse_others();
        }
        let (request, plan, purpose, tokens) = signed?;
        // The signed request is a bearer token: it goes out only when it is written down that it does.
        self.service.record(&self.caller, &purpose, Some(&tokens)).await?;
        self.step = Step::Sent(plan);
        Ok(request.encode()?)
    }

    /// The signed request, what it is, and the tokens that were used.
    async fn sign(
        &self,
        request: CredentialRequest,
        who: Who<'_>,
    ) -> Result<(SignedRequest, Plan, Purpose, String), Error> {
        let service = &self.service;
        let codes = who.token.filter(|token| makes_codes(token));
        let sign = Arc::new(Sign { request, limits: service.limits(), token_named: codes.is_some() });
        let mut unfinished = Unfinished::new(Arc::clone(service), who.caller, sign.purpose(None));
        let there = self.is_code_token_there(&sign, codes).await;
        unfinished.end(there.as_ref().err()).await;
        there?;
        // A token that makes codes opens no vault.
        let keyslot = Who { token: who.token.filter(|_| codes.is_none()), ..who };
        let Done { plan: SignPlan { session, .. }, yielded, purpose, token, .. } =
            service.guarded(sign, keyslot).await?;
        let (signer, copies) = match yielded {
            Signed::Ready(request) => return Ok((request, session, purpose, token)),
            Signed::LacksCode(signer, copies) => (signer, copies),
        };
        let mut unfinished = Unfinished::new(Arc::clone(service), who.caller, purpose.clone());
        let asker = Asker { who, purpose: &purpose };
        let outcome = match service.code_from_token(&asker, codes, &copies).await {
            Ok(made) => {
                let tokens = format!("{token} and {}", made.token);
                let request = session.sign(&signer, &made.copy.serial, made.code, service.clock.now());
                request.map(|request| (request, session, purpose.clone(), tokens))
            }
            Err(error) => Err(error),
        };
        unfinished.end(outcome.as_ref().err()).await;
        outcome
    }

    /// Before anybody touches anything: whether a token that the code has to come from is connected. With a locked
    /// vault that cannot be known yet.
    async fn is_code_token_there(&self, sign: &Arc<Sign>, named: Option<&str>) -> Result<(), Error> {
        let service = &self.service;
        service.refresh().await?;
        let wanted = Arc::clone(sign);
        let source = service.keeper.run(move |house| match house.header()? {
            (_, true) => wanted.plan(house).map(|plan| Some(plan.source)),
            (_, false) => Ok(None),
        });
        if let Some(Source::Tokens(copies)) = source.await? {
            service.find_copy(named, &copies).await?;
        }
        Ok(())
    }

    /// Takes AWS's answer, keeps the session, and gives it out.
    ///
    /// # Errors
    /// [`Error::AwsRefused`] with AWS's reason, [`Error::AwsAnswer`], [`Error::AuditFailed`].
    pub async fn finish(
        &mut self,
        status: u16,
        reply: &[u8],
    ) -> Result<(Arc<SessionCredentials>, u64), Error> {
        let Step::Sent(plan) = std::mem::replace(&mut self.step, Step::Over) else {
            return Err(Error::Invalid("this operation waits for no answer".to_owned()));
        };
        let purpose = Purpose::new("session-granted", plan.act());
        let session = match aws::session(status, reply, plan.account_id) {
            Ok(session) => session,
            Err(error) => {
                let error = Error::from(error);
                self.service.record_refusal(&self.caller, &purpose, &error).await;
                return Err(error);
            }
        };
        self.service.record(&self.caller, &purpose, None).await?;
        let (credentials, expiration) = (Arc::new(session.credentials), session.expiration);
        let kept = Arc::clone(&credentials);
        let clock = Arc::clone(&self.service.clock);
        let key = plan.key(self.caller.uid);
        self.service
            .keeper
            .ask(move |house| {
                // A vault that was locked meanwhile keeps no session.
                if matches!(house.vault, Vault::Unlocked(_)) {
                    house.sessions.put(key, kept, expiration, &clock);
                }
            })
            .await?;
        Ok((credentials, expiration))
    }

    /// The client gave up.
    pub async fn abort(&mut self, why: GiveUp) {
        if let Step::Sent(plan) = std::mem::replace(&mut self.step, Step::Over) {
            let why = match why {
                GiveUp::Unreachable => Error::Failed("AWS was not reached"),
                GiveUp::Tls => Error::Failed("AWS could not prove who it is"),
                GiveUp::Cancelled => Error::Cancelled,
            };
            self.service
                .record_refusal(&self.caller, &Purpose::new("session-granted", plan.act()), &why)
                .await;
        }
    }
}

/// A request that went out and whose answer never came: that, too, is written down.
impl Drop for Operation {
    fn drop(&mut self) {
        if let Step::Sent(plan) = std::mem::replace(&mut self.step, Step::Over) {
            let (service, caller) = (Arc::clone(&self.service), self.caller.clone());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    let purpose = Purpose::new("session-granted", plan.act());
                    service.record_refusal(&caller, &purpose, &Error::Cancelled).await;
                });
            }
        }
    }
}
