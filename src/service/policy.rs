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
        let vaults = self.vaults_policy().await?;
        let now = self.clock.now();
        let admits = |policy: &Policy| {
            if !policy.lets(caller.uid, act) {
                return Err(Error::NotForUid(caller.uid, act.words()));
            }
            if act == Act::Use && !policy.is_open(now) {
                return Err(Error::OutOfHours(times(&policy.hours)));
            }
            Ok(())
        };
        let admitted = admits(&self.settings.policy).and_then(|()| admits(&vaults));
        if let Err(error) = &admitted {
            self.record_refusal(caller, &Purpose::new("policy", act.words()), error).await;
        }
        admitted
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
        if change.manage_uids.as_ref().is_some_and(|uids| !uids.is_empty() && !uids.contains(&who.caller.uid))
        {
            return Err(Error::Invalid(format!(
                "uid {} must be one of those who may change the vault: else you could not undo it",
                who.caller.uid
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
    pub hours: Option<Vec<String>>,
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

    /// # Errors
    /// [`Error::Invalid`].
    fn of(&self, policy: &Policy) -> Result<Policy, Error> {
        let mut policy = policy.clone();
        if let Some(demand) = self.demand_reason {
            policy.demand_reason = demand;
        }
        if let Some(hours) = &self.hours {
            policy.hours =
                hours.iter().map(|hours| hours.parse()).collect::<Result<_, _>>().map_err(|_syntax| {
                    Error::Invalid(
                        "hours are written Mon-Fri 08:00-18:00, in UTC, one part of the day for each"
                            .to_owned(),
                    )
                })?;
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

    /// What it changes, in the words of the prompt.
    fn act(&self) -> String {
        let mut rules = Vec::new();
        match self.demand_reason {
            Some(true) => rules.push("demand a reason".to_owned()),
            Some(false) => rules.push("demand no reason".to_owned()),
            None => {}
        }
        if let Some(hours) = &self.hours {
            let hours =
                if hours.is_empty() { "always".to_owned() } else { format!("{} UTC", hours.join(", ")) };
            rules.push(format!("sessions and codes: {hours}"));
        }
        match self.longest_session {
            Some(0) => rules.push("sessions of any length".to_owned()),
            Some(seconds) => rules.push(format!("sessions of {seconds} s at most")),
            None => {}
        }
        for (uids, act) in
            [(&self.unlock_uids, Act::Unlock), (&self.use_uids, Act::Use), (&self.manage_uids, Act::Manage)]
        {
            let Some(uids) = uids else { continue };
            let who = if uids.is_empty() { "anybody".to_owned() } else { format!("uid {}", listed(uids)) };
            rules.push(format!("{who} may {}", act.words()));
        }
        format!("change the vault's policy: {}", rules.join("; "))
    }
}

fn listed(uids: &[u32]) -> String {
    uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn times(hours: &[Hours]) -> String {
    hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
            hours: Some(vec!["Mon-Fri 08:00-18:00".to_owned()]),
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
            PolicyChange { hours: Some(vec!["at night".to_owned()]), ..PolicyChange::default() },
            PolicyChange { longest_session: Some(899), ..PolicyChange::default() },
            PolicyChange { use_uids: Some((0..300).collect()), ..PolicyChange::default() },
        ] {
            assert!(matches!(bad.of(&before), Err(Error::Invalid(_))));
        }
    }

    #[test]
    fn the_shorter_session_binds() {
        assert_eq!(shorter(None, None), None);
        assert_eq!(shorter(Some(900), None), Some(900));
        assert_eq!(shorter(Some(3600), Some(900)), Some(900));
    }
}
