//! A guarded operation, from the first look to the wiped key: one caller, one prompt, one deadline.

use super::clock::Watch;
use super::error::Error;
use super::house::House;
use super::locks::Asker;
use super::machine::Machine;
use super::purpose::Purpose;
use super::who::Who;
use super::{Service, vault_error};
use crate::token::Wanted;
use crate::token::prompter::Prompter;
use crate::vault::{Guard, ItemId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// A code that was given out for a step so far ahead shows that the clock was set back.
const LONGEST_WAIT: u64 = 120;

/// Something that needs the guard lock.
pub(super) trait Guarded: Send + Sync + 'static {
    /// Whether it may find the vault locked, and then opens both locks with one touch.
    const OPENS_LOCKED: bool;
    /// Whether it changes the vault.
    const SAVES: bool;
    /// What it will do, as the open index says; shown before, and compared after the touch.
    type Plan: Clone + PartialEq + Send + 'static;
    /// What is left when the guard key is wiped.
    type Yield: Send + 'static;

    fn plan(&self, house: &House) -> Result<Self::Plan, Error>;

    /// The words of the prompt. `None`: the vault is locked, and nothing but the request is known.
    fn purpose(&self, plan: Option<&Self::Plan>) -> Purpose;

    /// The seed a fresh code is needed of; with no plan known, any seed may be the one.
    fn seed(&self, plan: &Self::Plan) -> Option<ItemId>;

    /// Does it. The guard, and its key with it, is gone afterwards.
    fn act(&self, plan: &Self::Plan, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Self::Yield, Error>;
}

/// What [`Guarded::act`] may use besides the guard.
pub(super) struct Tools<'a> {
    pub(super) clock: &'a Watch,
    pub(super) machine: &'a mut Machine,
    pub(super) path: &'a std::path::Path,
}

/// What came of it.
pub(super) struct Done<G: Guarded> {
    pub(super) plan: G::Plan,
    pub(super) yielded: G::Yield,
    pub(super) purpose: Purpose,
    pub(super) token: String,
    /// The permission to save, for what saves.
    pub(super) saving: Option<OwnedMutexGuard<()>>,
}

impl Service {
    /// Runs a guarded operation up to where something may be released; the caller records and releases.
    pub(super) async fn guarded<G: Guarded>(
        self: &Arc<Self>,
        request: Arc<G>,
        who: Who<'_>,
    ) -> Result<Done<G>, Error> {
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        let plan = self.plan(&request).await;
        let purpose = request.purpose(plan.as_ref().ok().and_then(Option::as_ref));
        let result = match plan {
            Ok(plan) => self.run(request, who, plan, purpose.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        result
    }

    async fn plan<G: Guarded>(&self, request: &Arc<G>) -> Result<Option<G::Plan>, Error> {
        let request = Arc::clone(request);
        self.keeper
            .run(move |house| match house.header()? {
                (_, true) => request.plan(house).map(Some),
                (_, false) if G::OPENS_LOCKED => Ok(None),
                (_, false) => Err(Error::Locked),
            })
            .await
    }

    async fn run<G: Guarded>(
        self: &Arc<Self>,
        request: Arc<G>,
        who: Who<'_>,
        shown: Option<G::Plan>,
        purpose: Purpose,
    ) -> Result<Done<G>, Error> {
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let seed = match &shown {
            Some(plan) => request.seed(plan).map(Some),
            None => Some(None),
        };
        if let Some(seed) = seed {
            self.wait_for_fresh_step(seed, who.prompter).await?;
        }
        let (header, _) = self.keeper.run(|house| house.header()).await?;
        let keys = self
            .open_locks(
                &Asker { who, purpose: &purpose },
                header,
                Wanted { unlock: shown.is_none(), guard: true },
            )
            .await?;
        let saving = if G::SAVES { Some(Arc::clone(&self.saving).lock_owned().await) } else { None };
        if let Some(key) = keys.unlock {
            let unlock = Purpose::new("unlock", "unlock the vault");
            self.record(who.caller, &unlock, Some(&keys.token)).await?;
            self.keeper.run(move |house| house.unlock(key)).await?;
            self.changed();
        }
        let key = keys.guard.ok_or(Error::Failed("the token gave no guard key"))?;
        let clock = Arc::clone(&self.clock);
        let path = self.path.clone();
        let (plan, yielded) = self
            .keeper
            .run(move |house| {
                let plan = request.plan(house)?;
                if shown.is_some_and(|shown| shown != plan) {
                    return Err(Error::Failed(
                        "the vault changed while the prompt was shown: nothing was done",
                    ));
                }
                let mut machine = std::mem::take(&mut house.machine);
                let result = house.unlocked_mut().and_then(|vault| {
                    let guard = vault.guard(key).map_err(|error| vault_error(&error, &path))?;
                    machine.seen = Some(guard.seen());
                    request.act(
                        &plan,
                        guard,
                        &mut Tools { clock: &clock, machine: &mut machine, path: &path },
                    )
                });
                house.machine = machine;
                result.map(|yielded| (plan, yielded))
            })
            .await?;
        // Whatever was spent or seen must be on the disk before anything goes out.
        self.remember().await?;
        Ok(Done { plan, yielded, purpose, token: keys.token, saving })
    }

    /// Waits until no code of the current step has been given out, before anything blinks.
    async fn wait_for_fresh_step(&self, seed: Option<ItemId>, prompter: &dyn Prompter) -> Result<(), Error> {
        let until = self
            .keeper
            .ask(move |house| match seed {
                Some(seed) => house.machine.spent.get(&seed).copied(),
                None => house.machine.spent.values().max().copied(),
            })
            .await?
            .unwrap_or(0);
        let missing = until.saturating_sub(self.clock.now());
        if missing > LONGEST_WAIT {
            return Err(Error::ClockJumped(missing));
        }
        if missing == 0 {
            return Ok(());
        }
        let text =
            format!("Waiting {missing} s for the next code: the current one has been given out already");
        prompter.waiting(text, until).await.unwrap_or(());
        loop {
            let left = until.saturating_mul(1000).saturating_sub(self.clock.now_millis());
            if left == 0 {
                return Ok(());
            }
            // In short steps: the wall clock may be set while this waits, and the timer would not notice.
            tokio::time::sleep(Duration::from_millis(left.min(1000))).await;
        }
    }
}
