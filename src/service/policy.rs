//! What the configuration and the vault's holders have laid down. Both bind: the stricter of the two, that is.

use super::caller::Caller;
use super::error::Error;
use super::guarded::{Done, Guarded, Tools};
use super::house::House;
use super::purpose::Purpose;
use super::seeds::SeedKey;
use super::who::Who;
use super::{Service, vault_error};
use crate::vault::{Act, Guard, Hours, Policy, Staged};
use std::sync::Arc;

impl Act {
    const fn words(self) -> &'static str {
        match self {
            Self::Unlock => "unlock the vault",
            Self::Use => "use what the vault guards",
            Self::Manage => "change the vault",
        }
    }
}

impl Service {
    /// Refuses what is not for this caller, or not at this time.
    ///
    /// # Errors
    /// [`Error::NotForUid`], [`Error::OutOfHours`].
    pub async fn admit(&self, caller: &Caller, act: Act) -> Result<(), Error> {
        let admitted = self.allow(caller, act).await;
        if let Err(error) = &admitted {
            self.record_refusal(caller, &Purpose::new("policy", act.words()), error).await;
        }
        admitted
    }

    /// The same, for whoever records it.
    pub(super) async fn allow(&self, caller: &Caller, act: Act) -> Result<(), Error> {
        // What was read before may be of a vault that was not there: it would have no rules.
        self.refresh().await?;
        let vaults = self.vaults_policy().await?;
        let now = self.clock.now();
        let admits = |policy: &Policy| {
            if !policy.lets(caller.uid, act) {
                return Err(Error::NotForUid(caller.uid, act.words()));
            }
            if act == Act::Use && !policy.is_open(now) {
                return Err(Error::OutOfHours(listed(&policy.hours)));
            }
            Ok(())
        };
        admits(&self.settings.policy).and_then(|()| admits(&vaults))
    }

    /// Refuses a caller who does not say why, where that is demanded.
    pub(super) async fn demand_reason(&self, caller: &Caller) -> Result<(), Error> {
        let demanded = self.settings.policy.demand_reason || self.vaults_policy().await?.demand_reason;
        if demanded && caller.why.is_none() { Err(Error::ReasonNeeded) } else { Ok(()) }
    }

    /// That of the vault; without one, none.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn vaults_policy(&self) -> Result<Policy, Error> {
        self.keeper.glance(|house| Ok(house.policy().cloned().unwrap_or_default())).await
    }

    /// That of the configuration.
    pub const fn own_policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// Lays down other rules for the vault, on every machine, with the consent of its holders.
    ///
    /// # Errors
    /// [`Error::Invalid`] for rules that cannot be, or that shut the caller out; all that a guarded operation can go wrong
    /// with.
    pub async fn set_policy(self: &Arc<Self>, change: PolicyChange, who: Who<'_>) -> Result<(), Error> {
        if change.is_empty() {
            return Err(Error::Invalid("say which rule is to be another".to_owned()));
        }
        // A locked vault shows it before it is held against the rules that are there.
        change.of(&Policy::default())?;
        let uid = who.caller.uid;
        let shut_out = |uids: &Option<Vec<u32>>| {
            uids.as_ref().is_some_and(|uids| !uids.is_empty() && !uids.contains(&uid))
        };
        if shut_out(&change.unlock_uids) || shut_out(&change.manage_uids) {
            return Err(Error::Invalid(format!(
                "uid {uid} must be one of those who may unlock and change the vault: else you could not undo it"
            )));
        }
        let Done { yielded, purpose, token, saving, .. } =
            self.guarded(Arc::new(Changing(change)), who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        self.save(yielded, saving.ok_or(Error::Failed("no turn to save"))?).await
    }
}

/// The shorter of two sessions that are allowed at most.
pub(super) fn shorter(one: Option<u32>, two: Option<u32>) -> Option<u32> {
    one.into_iter().chain(two).min()
}

/// Rules that are to be others; those that are `None` stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// Whether a reason is demanded.
    pub demand_reason: Option<bool>,
    /// When sessions and codes may be had; empty: always.
    pub hours: Option<Vec<Hours>>,
    /// Seconds that a session lasts at most; 0: as long as AWS allows.
    pub longest_session: Option<u32>,
    /// Who may open the index; empty: anybody.
    pub unlock_uids: Option<Vec<u32>>,
    /// Who may get sessions and codes; empty: anybody.
    pub use_uids: Option<Vec<u32>>,
    /// Who may change the vault; empty: anybody.
    pub manage_uids: Option<Vec<u32>>,
}

impl PolicyChange {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads hours as they are written.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn hours(texts: &[String]) -> Result<Vec<Hours>, Error> {
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|_syntax| {
            let how = "hours are written Mon-Fri 08:00-18:00, in UTC, one part of the day for each";
            Error::Invalid(how.to_owned())
        })
    }

    /// # Errors
    /// [`Error::Invalid`].
    fn of(&self, policy: &Policy) -> Result<Policy, Error> {
        let mut policy = policy.clone();
        if let Some(demand) = self.demand_reason {
            policy.demand_reason = demand;
        }
        if let Some(hours) = &self.hours {
            policy.hours.clone_from(hours);
        }
        if let Some(longest) = self.longest_session {
            policy.longest_session = (longest > 0).then_some(longest);
        }
        let lists = [
            (&self.unlock_uids, &mut policy.unlock_uids),
            (&self.use_uids, &mut policy.use_uids),
            (&self.manage_uids, &mut policy.manage_uids),
        ];
        for (given, list) in lists {
            if let Some(given) = given {
                list.clone_from(given);
                list.sort_unstable();
                list.dedup();
            }
        }
        policy.validate().map_err(|rule| Error::Invalid(format!("this cannot be a policy: {rule}")))?;
        Ok(policy)
    }

    /// What it changes, in the words of the prompt; who may do what comes first, for a screen may cut the end off.
    fn act(&self) -> String {
        let mut rules = Vec::new();
        for (uids, act) in
            [(&self.manage_uids, Act::Manage), (&self.unlock_uids, Act::Unlock), (&self.use_uids, Act::Use)]
        {
            let Some(uids) = uids else { continue };
            let who = if uids.is_empty() { "anybody".to_owned() } else { format!("uid {}", listed(uids)) };
            rules.push(format!("{who} may {}", act.words()));
        }
        match self.demand_reason {
            Some(true) => rules.push("demand a reason".to_owned()),
            Some(false) => rules.push("demand no reason".to_owned()),
            None => {}
        }
        if let Some(hours) = &self.hours {
            let hours = if hours.is_empty() { "always".to_owned() } else { format!("{} UTC", listed(hours)) };
            rules.push(format!("sessions and codes: {hours}"));
        }
        match self.longest_session {
            Some(0) => rules.push("sessions of any length".to_owned()),
            Some(seconds) => rules.push(format!("sessions of {seconds} s at most")),
            None => {}
        }
        format!("change the vault's policy: {}", rules.join("; "))
    }
}

/// The first few, and how many more there are.
fn listed<T: ToString>(of: &[T]) -> String {
    const MOST: usize = 4;
    let some = of.iter().take(MOST).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match of.len().saturating_sub(MOST) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

struct Changing(PolicyChange);

impl Guarded for Changing {
    const OPENS_LOCKED: bool = true;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = Policy;
    type Yield = Staged;

    fn plan(&self, house: &House) -> Result<Policy, Error> {
        self.0.of(&house.policy().cloned().unwrap_or_default())
    }

    fn purpose(&self, _: Option<&Policy>) -> Purpose {
        Purpose::new("policy-set", self.0.act())
    }

    fn seed(&self, _: &Policy) -> Option<SeedKey> {
        None
    }

    fn act(&self, policy: &Policy, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Staged, Error> {
        let mut draft = guard.edit();
        draft
            .set_policy(policy.clone())
            .and_then(|()| draft.seal())
            .map_err(|error| vault_error(&error, tools.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let before = Policy { demand_reason: true, use_uids: vec![1], ..Policy::default() };
        let change = PolicyChange {
            hours: Some(PolicyChange::hours(&["Mon-Fri 08:00-18:00".to_owned()]).unwrap()),
            use_uids: Some(vec![3, 2, 3]),
            ..PolicyChange::default()
        };
        let after = change.of(&before).unwrap();
        assert!(after.demand_reason && after.hours.len() == 1 && after.use_uids == [2, 3]);
        let none = PolicyChange {
            demand_reason: Some(false),
            hours: Some(Vec::new()),
            longest_session: Some(0),
            use_uids: Some(Vec::new()),
            ..PolicyChange::default()
        };
        assert_eq!(none.of(&after).unwrap(), Policy::default());
        for bad in [
            PolicyChange { longest_session: Some(899), ..PolicyChange::default() },
            PolicyChange { use_uids: Some((0..300).collect()), ..PolicyChange::default() },
        ] {
            assert!(matches!(bad.of(&before), Err(Error::Invalid(_))));
        }
        assert!(matches!(PolicyChange::hours(&["at night".to_owned()]), Err(Error::Invalid(_))));
    }

    #[test]
    fn the_prompt_is_short_and_tells_who_may_first() {
        let hours = PolicyChange::hours(&vec!["Mon-Fri 08:00-18:00".to_owned(); 32]).unwrap();
        let change = PolicyChange {
            hours: Some(hours),
            use_uids: Some((0..256).collect()),
            manage_uids: Some(Vec::new()),
            ..PolicyChange::default()
        };
        let act = change.act();
        assert!(
            act.starts_with(
                "change the vault's policy: anybody may change the vault; uid 0, 1, 2, 3 and 252 more"
            ),
            "{act}"
        );
        assert!(act.len() < 300, "{act}");
    }

    #[test]
    fn the_shorter_session_binds() {
        assert_eq!(shorter(None, None), None);
        assert_eq!(shorter(Some(900), None), Some(900));
        assert_eq!(shorter(Some(3600), Some(900)), Some(900));
    }
}
