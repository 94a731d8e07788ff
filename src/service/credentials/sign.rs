//! The guarded part: open the access key and the seed, sign one request, forget both.

use super::{CredentialRequest, Plan};
use crate::aws::{AccessKeyId, GetSessionToken, MfaSerial, Partition, Request, SignedRequest, Signer};
use crate::service::codes::spend;
use crate::service::error::Error;
use crate::service::guarded::{Guarded, Tools};
use crate::service::house::House;
use crate::service::problem::vault_error;
use crate::service::purpose::Purpose;
use crate::vault::{Guard, ItemId, Payload};

/// A request for a signed `GetSessionToken`.
pub(super) struct Sign {
    pub(super) request: CredentialRequest,
    pub(super) allowed: Vec<String>,
}

impl Guarded for Sign {
    const OPENS_LOCKED: bool = true;
    const SPENDS_CODE: bool = true;
    const SAVES: bool = false;
    type Plan = Plan;
    type Yield = SignedRequest;

    fn plan(&self, house: &House) -> Result<Plan, Error> {
        Plan::make(house, &self.request, &self.allowed)
    }

    fn purpose(&self, plan: Option<&Plan>) -> Purpose {
        let act = if let Some(plan) = plan {
            format!("sign {}", plan.act())
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

    fn seed(&self, plan: &Plan) -> Option<ItemId> {
        Some(plan.seed)
    }

    fn act(&self, plan: &Plan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<SignedRequest, Error> {
        let open = |item| guard.secret(item).map_err(|error| vault_error(&error, tools.path));
        let (key, seed) = (open(plan.access_key)?, open(plan.seed)?);
        drop(guard);
        let (Payload::AccessKey { access_key_id, secret, .. }, Payload::Totp { mfa_serial, .. }) =
            (&key, &seed)
        else {
            return Err(Error::Failed("the profile's items are not what they seem"));
        };
        let partition: Partition = plan.account.partition.parse()?;
        let serial = MfaSerial::parse(mfa_serial, partition, plan.account_id)?;
        let id: AccessKeyId = access_key_id.parse()?;
        let (code, _valid_until) = spend(plan.seed, &seed, tools)?;
        let request = Request::GetSessionToken(GetSessionToken::new(plan.duration, serial, code)?);
        let now = tools.clock.now();
        let signer = Signer::derive(id, secret, request.service(), plan.endpoint.signing_region(), now)?;
        Ok(signer.sign(&request, &plan.endpoint, now)?)
    }
}
