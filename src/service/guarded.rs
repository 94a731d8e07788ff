//! A guarded operation, from the first look to the wiped key: one caller, one prompt, one deadline.

use super::caller::Caller;
use super::clock::Watch;
use super::error::Error;
use super::house::House;
use super::locks::{Asker, Key};
use super::machine::Machine;
use super::purpose::Purpose;
use super::seeds::SeedKey;
use super::who::Who;
use super::{Service, vault_error};
use crate::otp::TotpParams;
use crate::token::Wanted;
use crate::token::prompter::Prompter;
use crate::vault::{Act, Guard, Index, Lock};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// A code that was given out for a step so far ahead shows that the clock was set back.
const LONGEST_WAIT: u64 = 120;
/// Seconds that a person has at least for a touch before the code's step ends.
const TOUCH_TAKES: u64 = 8;

/// Something that needs the guard lock.
pub(super) trait Guarded: Send + Sync + 'static {
    /// Whether it may find the vault locked, and then opens both locks with one touch.
    const OPENS_LOCKED: bool;
    /// Whether it may make a one-time code: then it waits until there is one that was not given out.
    const SPENDS_CODE: bool;
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
    fn seed(&self, plan: &Self::Plan) -> Option<SeedKey>;

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
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, request.purpose(None));
        let result = Box::pin(self.attempt(&request, who, &mut unfinished)).await;
        unfinished.end(result.as_ref().err()).await;
        result
    }

    async fn attempt<G: Guarded>(
        self: &Arc<Self>,
        request: &Arc<G>,
        who: Who<'_>,
        unfinished: &mut Unfinished,
    ) -> Result<Done<G>, Error> {
        self.refresh().await?;
        self.demand_reason(who.caller).await?;
        loop {
            self.refresh().await?;
            let plan = self.plan(request).await?;
            if plan.is_none() {
                self.allow(who.caller, Act::Unlock).await?;
            }
            unfinished.purpose = request.purpose(plan.as_ref());
            let (header, _) = self.keeper.glance(House::header).await?;
            let key = self.find_key(&who, header, Lock::Guard).await?;
            // Before the turn: whoever needs no code need not wait for this one's.
            self.wait_for_fresh_step(seed(&**request, plan.as_ref()), who.prompter).await?;
            let _turn = self.turn.lock().await;
            // What has just changed the keys may still be on its way to the disk.
            drop(self.saving.lock().await);
            let (now, _) = self.keeper.glance(House::header).await?;
            if now.epoch() != key.epoch() {
                continue;
            }
            let same = self.plan(request).await.is_ok_and(|now| now == plan);
            let fresh = self.missing(seed(&**request, plan.as_ref())).await? == 0;
            if same && fresh {
                return self.run(Arc::clone(request), who, plan, key).await;
            }
        }
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
        key: Key,
    ) -> Result<Done<G>, Error> {
        let purpose = request.purpose(shown.as_ref());
        let wanted = Wanted { unlock: shown.is_none(), guard: true };
        let (keys, opening) = self.open_locks(&Asker { who, purpose: &purpose }, key, wanted).await?;
        let saving = if G::SAVES { Some(Arc::clone(&self.saving).lock_owned().await) } else { None };
        let opened = keys.unlock.is_some();
        if let Some(key) = keys.unlock {
            let unlock = Purpose::new("unlock", "unlock the vault");
            self.open_vault(who.caller, &unlock, &keys.token, key, opening).await?;
        }
        let key = keys.guard.ok_or(Error::Failed("the token gave no guard key"))?;
        let clock = Arc::clone(&self.clock);
        let act = Arc::clone(&request);
        let path = self.path.clone();
        let (plan, yielded) = self
            .keeper
            .run(move |house| {
                let plan = act.plan(house)?;
                if shown.is_some_and(|shown| shown != plan) {
                    return Err(Error::Failed(
                        "the vault changed while the prompt was shown: nothing was done",
                    ));
                }
                let mut machine = std::mem::take(&mut house.machine);
                let result = house.unlocked_mut().and_then(|vault| {
                    let guard = vault.guard(key).map_err(|error| vault_error(&error, &path))?;
                    machine.seen = Some(guard.seen());
                    act.act(&plan, guard, &mut Tools { clock: &clock, machine: &mut machine, path: &path })
                });
                if let (true, Ok(vault)) = (G::SAVES, house.unlocked()) {
                    // Seeds that are no more need no memory, once their last code is no code any more.
                    let (now, known) = (clock.now(), known_seeds(vault.index()));
                    machine.spent.retain(|seed, until| *until > now || known.contains(seed));
                }
                house.machine = machine;
                result.map(|yielded| (plan, yielded))
            })
            .await?;
        // Whatever was spent or seen must be on the disk before anything goes out.
        if let Err(error) = self.remember().await {
            if opened {
                self.lock().await?;
            }
            return Err(error);
        }
        // The record names what was opened, also where the prompt could not know it yet.
        let purpose = request.purpose(Some(&plan));
        Ok(Done { plan, yielded, purpose, token: keys.token, saving })
    }

    /// Waits until no code of the current step has been given out, before anything blinks.
    pub(super) async fn wait_for_fresh_step(&self, seed: Wait, prompter: &dyn Prompter) -> Result<(), Error> {
        let mut told = false;
        loop {
            let missing = self.missing(seed).await?;
            if missing == 0 {
                return Ok(());
            }
            let seconds = missing.div_ceil(1000);
            if seconds > LONGEST_WAIT {
                return Err(Error::ClockJumped(seconds));
            }
            if !told {
                told = true;
                let text = format!("Waiting {seconds} s for the next code: {}", seed.reason());
                prompter.waiting(text, self.clock.now().saturating_add(seconds)).await.unwrap_or(());
            }
            // In short steps: the wall clock may be set while this waits, and the timer would not notice.
            let step = tokio::time::sleep(Duration::from_millis(missing.min(1000)));
            tokio::select! {
                Err(_refusal) = prompter.refused() => return Err(Error::Cancelled),
                () = step => {}
            }
        }
    }

    /// Milliseconds until a code may be given out.
    pub(super) async fn missing(&self, seed: Wait) -> Result<u64, Error> {
        let now = self.clock.now();
        let until = self
            .keeper
            .glance(move |house| {
                Ok(match seed {
                    Wait::For(seed) => house.machine.spent.get(&seed).copied(),
                    Wait::ForTouch(seed, params) => {
                        let end = params.valid_until(params.step_at(now));
                        let short = end.saturating_sub(now) < TOUCH_TAKES;
                        house.machine.spent.get(&seed).copied().max(short.then_some(end))
                    }
                    Wait::ForAny => house.machine.spent.values().max().copied(),
                    Wait::No => None,
                })
            })
            .await?;
        Ok(until.unwrap_or(0).saturating_mul(1000).saturating_sub(self.clock.now_millis()))
    }
}

/// Which seed a fresh code is needed of.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    No,
    For(SeedKey),
    /// Somebody has to touch a token before the step ends.
    ForTouch(SeedKey, TotpParams),
    /// The vault is locked: any may be the one.
    ForAny,
}

impl Wait {
    const fn reason(self) -> &'static str {
        match self {
            Self::ForTouch(..) => "the current one has been given out already, or would end before a touch",
            Self::No | Self::For(_) | Self::ForAny => "the current one has been given out already",
        }
    }
}

fn seed<G: Guarded>(request: &G, plan: Option<&G::Plan>) -> Wait {
    match plan.map(|plan| request.seed(plan)) {
        None if G::SPENDS_CODE => Wait::ForAny,
        None | Some(None) => Wait::No,
        Some(Some(seed)) => Wait::For(seed),
    }
}

/// All seeds of a vault, wherever they are.
pub(super) fn known_seeds(index: &Index) -> HashSet<SeedKey> {
    index.items().iter().filter_map(SeedKey::of).collect()
}

/// Sees to it that an operation whose caller vanished leaves its record, too.
pub(super) struct Unfinished {
    service: Arc<Service>,
    caller: Caller,
    pub(super) purpose: Purpose,
    ended: bool,
}

impl Unfinished {
    pub(super) fn new(service: Arc<Service>, caller: &Caller, purpose: Purpose) -> Self {
        Self { service, caller: caller.clone(), purpose, ended: false }
    }

    pub(super) async fn end(&mut self, error: Option<&Error>) {
        self.ended = true;
        if let Some(error) = error {
            self.service.record_refusal(&self.caller, &self.purpose, error).await;
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (service, caller, purpose) =
            (Arc::clone(&self.service), self.caller.clone(), self.purpose.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { service.record_refusal(&caller, &purpose, &Error::Cancelled).await });
        }
    }
}
