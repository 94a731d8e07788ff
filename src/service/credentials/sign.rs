//! The guarded part: open the access key, and the seed where the vault has it, sign one request, forget both.

use super::{CredentialRequest, Limits, Plan, Source, source};
use crate::aws::{
    AccessKeyId, GetSessionToken, MfaSerial, Partition, Request, Service, SignedRequest, Signer,
};
use crate::secret::OtpCode;
use crate::service::codes::spend;
use crate::service::error::Error;
use crate::service::guarded::{Guarded, Tools};
use crate::service::house::House;
use crate::service::problem::vault_error;
use crate::service::purpose::Purpose;
use crate::service::seeds::{SeedCopy, SeedKey};
use crate::vault::{Guard, Payload};

/// A request for a signed `GetSessionToken`.
pub(super) struct Sign {
    pub(super) request: CredentialRequest,
    pub(super) limits: Limits,
    /// Whether the code has to come from a token, because one was named.
    pub(super) token_named: bool,
}

/// What will be signed, and with whose code.
#[derive(Clone, PartialEq)]
pub(super) struct SignPlan {
    pub(super) session: Plan,
    pub(super) source: Source,
}

/// What the guarded part leaves.
pub(super) enum Signed {
    /// All that was needed.
    Ready(SignedRequest),
    /// A key that is good for one day, region and service: the code is still to come, from one of these. So a code is
    /// never older than the touch that it took, however long the keyslot's token took its time.
    LacksCode(Signer, Vec<SeedCopy>),
}

impl Guarded for Sign {
    const OPENS_LOCKED: bool = true;
    const SPENDS_CODE: bool = true;
    const SAVES: bool = false;
    type Plan = SignPlan;
    type Yield = Signed;

    fn plan(&self, house: &House) -> Result<SignPlan, Error> {
        let session = Plan::make(house, &self.request, &self.limits)?;
        let source = source(house, &session.account, self.token_named)?;
        Ok(SignPlan { session, source })
    }

    fn purpose(&self, plan: Option<&SignPlan>) -> Purpose {
        let act = if let Some(plan) = plan {
            format!("sign {}", plan.session.act())
        } else {
            let profile = &self.request.profile;
            let elsewhere =
                self.request.endpoint.as_ref().map(|url| format!(", at {url}")).unwrap_or_default();
            format!(
                "unlock the vault and sign GetSessionToken for the profile {profile}{elsewhere} \
                 (its account is in the locked vault)"
            )
        };
        Purpose::new("session", act)
    }

    fn seed(&self, plan: &SignPlan) -> Option<SeedKey> {
        match &plan.source {
            Source::Vault(_, key) => Some(*key),
            Source::Tokens(_) => None,
        }
    }

    fn act(&self, plan: &SignPlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Signed, Error> {
        let open = |item| guard.secret(item).map_err(|error| vault_error(&error, tools.path));
        let strange = Error::Failed("the profile's items are not what they seem");
        let session = &plan.session;
        let key = open(session.access_key)?;
        let seed = match &plan.source {
            Source::Vault(item, key) => Some((open(*item)?, *key)),
            Source::Tokens(_) => None,
        };
        drop(guard);
        let Payload::AccessKey { access_key_id, secret, .. } = &key else { return Err(strange) };
        let id: AccessKeyId = access_key_id.parse()?;
        let (region, now) = (session.endpoint.signing_region(), tools.clock.now());
        let signer = Signer::derive(id, secret, Service::Sts, region, now)?;
        match (&plan.source, &seed) {
            (Source::Vault(..), Some((seed, key))) => {
                let Payload::Totp { mfa_serial, .. } = seed else { return Err(strange) };
                let (code, _valid_until) = spend(*key, seed, tools)?;
                Ok(Signed::Ready(session.sign(&signer, mfa_serial, code, now)?))
            }
            (Source::Tokens(copies), _) => Ok(Signed::LacksCode(signer, copies.clone())),
            (Source::Vault(..), None) => Err(strange),
        }
    }
}

impl Plan {
    /// Signs the request with a code of the device `mfa_serial`, at `now` in Unix seconds.
    pub(super) fn sign(
        &self,
        signer: &Signer,
        mfa_serial: &str,
        code: OtpCode,
        now: u64,
    ) -> Result<SignedRequest, Error> {
        let partition: Partition = self.account.partition.parse()?;
        let serial = MfaSerial::parse(mfa_serial, partition, self.account_id)?;
        let request = Request::GetSessionToken(GetSessionToken::new(self.duration, serial, code)?);
        Ok(signer.sign(&request, &self.endpoint, now)?)
    }
}
