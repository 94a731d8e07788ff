//! Putting a seed on tokens. All of it happens, or nothing: first the passwords, then the consent of a keyslot's
//! token, then the tokens, and the vault last.

use crate::service::Service;
use crate::service::error::Error;
use crate::service::guarded::{Done, Guarded, Tools};
use crate::service::house::House;
use crate::service::items::{Sealing, by_id, inherit_spent, only_once};
use crate::service::locks::{Asker, QUESTION, name, no_such_token};
use crate::service::problem::vault_error;
use crate::service::purpose::Purpose;
use crate::service::seeds::{SeedKey, name_on_token, seeds_of};
use crate::service::who::Who;
use crate::store::StoreError;
use crate::token::registry::PresentCodes;
use crate::token::{Access, NewSeed, OathName, TokenError};
use crate::vault::{Account, Class, Guard, NewItem, Payload, Staged};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Which tokens, and what for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnTokens {
    /// Their ids.
    pub tokens: Vec<String>,
    /// Whether the vault is to keep a copy, too.
    pub in_vault: bool,
    /// Whether each code is to want a touch, where the token can ask for one.
    pub touch: bool,
}

/// A token that is opened and has room for the name.
struct Ready {
    token: PresentCodes,
    label: String,
    access: Arc<Access>,
    touch: bool,
}

impl Service {
    /// Puts a seed on tokens, and into the vault where that is wanted.
    pub(in crate::service) async fn add_on_tokens(
        self: &Arc<Self>,
        sealing: Sealing,
        on: OnTokens,
        who: Who<'_>,
    ) -> Result<(), Error> {
        // They stand in a prompt before any of them is found.
        let odd = |id: &&String| id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_graphic());
        if let Some(odd) = on.tokens.iter().find(odd) {
            return Err(no_such_token(odd));
        }
        let purpose = sealing.purpose(&on.tokens.join(" and "));
        let ready = match self.make_ready(&sealing, &on, who, &purpose).await {
            Ok(ready) => ready,
            Err(error) => {
                self.record_refusal(who.caller, &purpose, &error).await;
                return Err(error);
            }
        };
        let sealing = Arc::new(sealing);
        let marks = ready.iter().map(|ready| Mark {
            device: ready.access.device.clone(),
            token: ready.label.clone(),
            touch: ready.touch,
        });
        let request = Arc::new(AddCopies {
            sealing: Arc::clone(&sealing),
            marks: marks.collect(),
            in_vault: on.in_vault,
        });
        let Done { plan, yielded, purpose, token, saving, .. } = self.guarded(request, who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        let saving = saving.ok_or(Error::Failed("no turn to save"))?;
        // To its end, also when its caller is gone: half of it would be a seed that nobody knows of.
        let service = Arc::clone(self);
        let put =
            tokio::spawn(async move { service.put_all(&sealing, plan.name, ready, yielded, saving).await });
        let put =
            put.await.map_err(|_panicked| Error::Failed("putting the seed on tokens was interrupted"))?;
        if let Err(error) = &put {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        put
    }

    /// Opens all tokens, and sees to it that each can take the seed.
    async fn make_ready(
        &self,
        sealing: &Sealing,
        on: &OnTokens,
        who: Who<'_>,
        purpose: &Purpose,
    ) -> Result<Vec<Ready>, Error> {
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let account = sealing.account.id;
        let (account, devices) = self
            .keeper
            .run(move |house| {
                let account = by_id(house.unlocked()?.index(), account)?.clone();
                let copies = seeds_of(house, &account)?.into_iter().flat_map(|seed| seed.copies);
                let devices: Vec<_> = copies.map(|copy| (copy.key, copy.device)).collect();
                Ok((account, devices))
            })
            .await?;
        let name_there = name_on_token(&account, sealing.mfa_serial.as_str(), &sealing.params)?;
        let key = SeedKey::new(account.id, sealing.mfa_serial.as_str());
        let asker = Asker { who, purpose };
        let mut ready: Vec<Ready> = Vec::new();
        for id in &on.tokens {
            let token = self.code_token(Some(id)).await?;
            let label = name(&token);
            let device = super::device_id(&token).await?;
            if ready.iter().any(|other| other.access.device == device) {
                return Err(Error::Invalid(format!("the token {id} is named twice")));
            }
            if devices.iter().any(|(of, there)| (of, there) == (&key, &device)) {
                return Err(Error::Exists(format!(
                    "the TOTP seed of {} on {label}, as the vault says: `rootseal totp remove` forgets it",
                    sealing.mfa_serial
                )));
            }
            let made = self.make_one_ready(&asker, token, label, &device, &name_there, on.touch).await;
            who.prompter.done().await.unwrap_or(());
            ready.push(made?);
        }
        Ok(ready)
    }

    async fn make_one_ready(
        &self,
        asker: &Asker<'_>,
        token: PresentCodes,
        label: String,
        device: &[u8],
        name_there: &OathName,
        touch: bool,
    ) -> Result<Ready, Error> {
        let _turn = self.turn.lock().await;
        let held = token.worker.hold();
        let access = self.access(asker, &token, &label, device).await?;
        drop(held);
        let open = Arc::clone(&access);
        let contents =
            token.worker.run(QUESTION, move |token, patience| token.contents(&open, patience)).await?;
        if contents.accounts.iter().any(|account| account.name == *name_there) {
            return Err(Error::Exists(format!(
                "an OATH account {} on {label}: `rootseal oath remove` takes it away",
                name_there.text()
            )));
        }
        Ok(Ready { token, label, access, touch: touch && contents.can_touch })
    }

    /// Puts the seed on each token, then saves. What fails takes back what was put before.
    async fn put_all(
        self: &Arc<Self>,
        sealing: &Sealing,
        name: OathName,
        ready: Vec<Ready>,
        staged: Staged,
        saving: OwnedMutexGuard<()>,
    ) -> Result<(), Error> {
        let mut done: Vec<&Ready> = Vec::new();
        let mut failed = None;
        for ready in &ready {
            let put = sealing.put_on(ready, &name).await;
            match put {
                Ok(()) => done.push(ready),
                Err(error) => {
                    // A token that went away in the middle may have taken it.
                    if matches!(error, TokenError::Gone | TokenError::TimedOut | TokenError::Card(_)) {
                        done.push(ready);
                    }
                    failed = Some(error.into());
                    break;
                }
            }
        }
        let failed = match failed {
            Some(error) => error,
            None => match self.save(staged, saving).await {
                Ok(()) => return Ok(()),
                // The vault may have been written, and list them. `totp remove` clears up what it lists; of what it
                // does not, `oath list` tells.
                Err(error @ Error::Store(_, StoreError::InDoubt(_))) => return Err(error),
                Err(error) => error,
            },
        };
        let mut left = Vec::new();
        for ready in done {
            if !take_back(ready, &name).await {
                left.push(ready.label.clone());
            }
        }
        if left.is_empty() {
            return Err(failed);
        }
        let (left, name) = (left.join(" and "), name.text());
        Err(Error::LeftBehind { cause: Box::new(failed), left, name })
    }
}

/// Whether the seed is not there, or no longer.
async fn take_back(ready: &Ready, name: &OathName) -> bool {
    let (access, name) = (Arc::clone(&ready.access), name.clone());
    let removed =
        ready.token.worker.run(QUESTION, move |token, patience| token.remove(&access, &name, patience)).await;
    matches!(removed, Ok(()) | Err(TokenError::NoAccount))
}

impl Sealing {
    async fn put_on(&self, ready: &Ready, name: &OathName) -> Result<(), TokenError> {
        let new = NewSeed {
            name: name.clone(),
            seed: Arc::clone(&self.seed),
            algorithm: self.params.algorithm().name().to_owned(),
            digits: self.params.digits(),
            touch: ready.touch,
        };
        let access = Arc::clone(&ready.access);
        ready.token.worker.run(QUESTION, move |token, patience| token.put(&access, &new, patience)).await
    }
}

/// What the vault notes of a copy.
struct Mark {
    device: Vec<u8>,
    token: String,
    touch: bool,
}

struct AddCopies {
    sealing: Arc<Sealing>,
    marks: Vec<Mark>,
    in_vault: bool,
}

#[derive(Clone, PartialEq)]
struct AddPlan {
    account: Account,
    name: OathName,
    where_to: String,
}

impl Guarded for AddCopies {
    const OPENS_LOCKED: bool = false;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = AddPlan;
    type Yield = Staged;

    fn plan(&self, house: &House) -> Result<AddPlan, Error> {
        let account = by_id(house.unlocked()?.index(), self.sealing.account.id)?.clone();
        let key = self.sealing.key();
        let seed = seeds_of(house, &account)?.into_iter().find(|seed| seed.key == key);
        if let Some(seed) = &seed {
            if self.in_vault && seed.vault.is_some() {
                return Err(self.sealing.exists(&account.name));
            }
            let there = |mark: &&Mark| seed.copies.iter().any(|copy| copy.device == mark.device);
            if let Some(mark) = self.marks.iter().find(there) {
                return Err(Error::Exists(format!("the TOTP seed of {} on {}", seed.serial, mark.token)));
            }
        }
        let name = name_on_token(&account, self.sealing.mfa_serial.as_str(), &self.sealing.params)?;
        let mut places: Vec<_> = self.marks.iter().map(|mark| &*mark.token).collect();
        if self.in_vault {
            places.push("the vault");
        }
        Ok(AddPlan { account, name, where_to: places.join(" and ") })
    }

    fn purpose(&self, plan: Option<&AddPlan>) -> Purpose {
        match plan {
            Some(plan) => self.sealing.purpose(&plan.where_to),
            None => self.sealing.purpose("tokens"),
        }
    }

    fn seed(&self, _: &AddPlan) -> Option<SeedKey> {
        None
    }

    fn act(&self, plan: &AddPlan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Staged, Error> {
        let sealing = &*self.sealing;
        only_once(&sealing.seed, Some(sealing.key()), &guard, tools)?;
        inherit_spent(sealing.key(), guard.vault().index(), tools);
        let item =
            |class| NewItem { account: plan.account.id, class, replaces: None, created: tools.clock.now() };
        let mut draft = guard.edit();
        let staged = (|| {
            if self.in_vault {
                draft.put(item(Class::Guarded), &sealing.payload(&plan.account))?;
            }
            for mark in &self.marks {
                draft.put(item(Class::Open), &sealing.mark(&plan.account, mark))?;
            }
            draft.seal()
        })();
        staged.map_err(|error| vault_error(&error, tools.path))
    }
}

impl Sealing {
    /// Where a copy is; no secret, so the unlock key alone opens it.
    fn mark(&self, account: &Account, mark: &Mark) -> Payload {
        Payload::TotpToken {
            account_id: account.account_id.clone(),
            partition: account.partition.clone(),
            user: account.user.clone(),
            mfa_serial: self.mfa_serial.to_string(),
            algorithm: self.params.algorithm().name().to_owned(),
            digits: self.params.digits().into(),
            period: self.params.period(),
            device: mark.device.clone(),
            token: mark.token.clone(),
            touch: mark.touch,
        }
    }
}
