//! The holders whose consent opens a lock: one after another, until there are as many as its threshold wants. What was
//! collected is kept in memory alone, and gone with the request.

use super::Service;
use super::error::Error;
use super::locks::{Asker, Keys, Tokens, is_named, list, quoted};
use super::problem::vault_error;
use super::purpose::Purpose;
use super::recovery::is_code;
use crate::secret::forgetting;
use crate::token::registry::Present;
use crate::token::{Derived, Kind, Wanted};
use crate::vault::{Collected, Header, Keyslot, Lock, SlotId, VaultError};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long it may take until the next holder's token is plugged in.
const NEXT_HOLDER: Duration = Duration::from_mins(5);

/// A connected token and the keyslot that is its own.
pub(super) struct Match {
    pub(super) token: Present,
    pub(super) slot: SlotId,
}

/// What the holders gave so far.
pub(super) struct Consents {
    unlock: Option<Collected>,
    guard: Option<Collected>,
    /// Who consented, and with which token.
    given: Vec<(String, String)>,
    needed: usize,
}

impl Consents {
    pub(super) fn new(header: &Header, wanted: Wanted) -> Self {
        let collected = |lock, wanted: bool| wanted.then(|| Collected::new(header, lock));
        let unlock = collected(Lock::Unlock, wanted.unlock);
        let guard = collected(Lock::Guard, wanted.guard);
        let mut consents = Self { unlock, guard, given: Vec::new(), needed: 0 };
        consents.needed = consents.missing();
        consents
    }

    /// How many holders are still needed.
    pub(super) fn missing(&self) -> usize {
        let missing = |collected: &Option<Collected>| collected.as_ref().map_or(0, Collected::missing);
        missing(&self.unlock).max(missing(&self.guard))
    }

    /// The lock that the next holder has to have a keyslot for. The guard lock never wants fewer than the other.
    fn lock(&self) -> Lock {
        if self.guard.is_some() { Lock::Guard } else { Lock::Unlock }
    }

    /// What a keyslot is still to give.
    pub(super) fn wanted(&self, slot: &Keyslot) -> Wanted {
        let wanted = |collected: &Option<Collected>, lock| {
            slot.serves(lock) && collected.as_ref().is_some_and(|collected| collected.missing() > 0)
        };
        Wanted { unlock: wanted(&self.unlock, Lock::Unlock), guard: wanted(&self.guard, Lock::Guard) }
    }

    /// What the next holder is told: also how far it is.
    pub(super) fn purpose(&self, purpose: &Purpose, holder: &str) -> Purpose {
        if self.needed == 1 {
            return purpose.clone();
        }
        let number = self.given.len().saturating_add(1);
        let mut act = format!("{} (consent {number} of {}: {holder}", purpose.act, self.needed);
        if !self.given.is_empty() {
            act.push_str(" after ");
            act.push_str(&self.holders());
        }
        act.push(')');
        Purpose::new(purpose.event, act)
    }

    fn holders(&self) -> String {
        self.given.iter().map(|(holder, _)| holder.as_str()).collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn take(
        &mut self,
        header: &Header,
        slot: &Keyslot,
        token: String,
        derived: Derived,
    ) -> Result<(), VaultError> {
        forgetting(|| {
            if let (Some(collected), Some(secret)) = (&mut self.unlock, derived.unlock) {
                collected.add(slot.share(header, Lock::Unlock, &secret)?);
            }
            if let (Some(collected), Some(secret)) = (&mut self.guard, derived.guard) {
                collected.add(slot.share(header, Lock::Guard, &secret)?);
            }
            Ok::<(), VaultError>(())
        })?;
        self.given.push((slot.holder().to_owned(), token));
        Ok(())
    }

    pub(super) fn keys(self, path: &Path) -> Result<Keys, Error> {
        let token = self.given.iter().map(|(_, token)| token.as_str()).collect::<Vec<_>>().join(" and ");
        let (unlock, guard) = forgetting(|| {
            let unlock = self.unlock.map(Collected::unlock_key).transpose();
            (unlock, self.guard.map(Collected::guard_key).transpose())
        });
        Ok(Keys {
            unlock: unlock.map_err(|error| vault_error(&error, path))?,
            guard: guard.map_err(|error| vault_error(&error, path))?,
            token,
        })
    }
}

impl Service {
    /// The first token: it has to be connected.
    pub(super) async fn find_token(
        &self,
        wanted: Option<&str>,
        header: &Header,
        lock: Lock,
    ) -> Result<Match, Error> {
        let needed = header.thresholds().of(lock).into();
        let Tokens { present, hints, busy } = match self.present_tokens(wanted).await {
            Err(Error::NoToken(hints)) => return Err(Error::NoToken(hints.or_code(header))),
            tokens => tokens?,
        };
        let (found, weak) = self.enrolled(present, header, lock, |_holder| true).await;
        if let Some(first) = one_of(found, header, needed)? {
            return Ok(first);
        }
        let slots = header.keyslots().iter().filter(|slot| slot.serves(lock) && !is_code(slot));
        let (labels, kinds): (Vec<_>, Vec<_>) = slots.map(|slot| (quoted(slot.label()), slot.kind())).unzip();
        let labels = labels.join(" or ");
        let all_fido = kinds.iter().all(|kind| Some(*kind) == Kind::Fido.keyslot());
        let hints = if all_fido { hints.without_cards() } else { hints }.or_code(header);
        Err(match weak {
            // What somebody else holds may be the right one.
            _ if busy && !all_fido => Error::Busy,
            Some(weak) => Error::WeakToken(weak, labels, hints),
            None => Error::WrongToken(labels, hints),
        })
    }

    /// The token of a holder who has not consented yet: one that is connected, or the next that is plugged in.
    pub(super) async fn next_holder(
        &self,
        asker: &Asker<'_>,
        header: &Header,
        consents: &Consents,
    ) -> Result<Match, Error> {
        let lock = consents.lock();
        let others = |holder: &str| consents.given.iter().all(|(given, _)| given != holder);
        let with_token = |holder: &&str| {
            let theirs = |slot: &&Keyslot| slot.holder() == *holder && slot.serves(lock);
            header.keyslots().iter().filter(theirs).any(|slot| !is_code(slot))
        };
        let missing: Vec<_> =
            header.holders(lock).into_iter().filter(|holder| others(holder)).filter(with_token).collect();
        let (count, needed) = (consents.given.len(), consents.needed);
        if missing.len() < consents.missing() {
            return Err(Error::RecoveryNeeded(count, needed));
        }
        let missing = format!("{count} of {needed} have consented; next one of {}", missing.join(", "));
        let deadline = Instant::now().checked_add(NEXT_HOLDER);
        let mut arrivals = self.arrivals();
        let mut told = false;
        loop {
            arrivals.mark_unchanged();
            let present = match self.present_tokens(None).await {
                Ok(tokens) => tokens.present,
                Err(Error::NoToken(_) | Error::Busy) => Vec::new(),
                Err(error) => return Err(error),
            };
            let (mut found, _) = self.enrolled(present, header, lock, others).await;
            found.retain(|found| asker.who.tokens().is_none_or(|ids| is_named(ids, &found.token.id)));
            if let Some(next) = one_of(found, header, consents.missing())? {
                return Ok(next);
            }
            if !told {
                told = true;
                let until = self.clock.now().saturating_add(NEXT_HOLDER.as_secs());
                let text = format!("Plug in the next holder\u{2019}s token: {missing}");
                asker.who.prompter.waiting(text, until).await.unwrap_or(());
            }
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = arrivals.changed() => {
                    changed.map_err(|_stopping| Error::Failed("the daemon is stopping"))?;
                }
                Err(_refusal) = asker.who.prompter.refused() => return Err(Error::Cancelled),
                () = late => return Err(Error::NoQuorum(missing)),
            }
        }
    }

    /// Those of the tokens that are keyslots for `lock` of such holders, found by their credentials, without making
    /// anything blink; and the label of one whose keyslot does not open this lock.
    async fn enrolled(
        &self,
        present: Vec<Present>,
        header: &Header,
        lock: Lock,
        holders: impl Fn(&str) -> bool,
    ) -> (Vec<Match>, Option<String>) {
        let mut found: Vec<Match> = Vec::new();
        let mut weak = None;
        for token in present {
            let slot = self.slot_of(&token, header).await.and_then(|slot| header.keyslot(slot));
            match slot {
                // One token may be there by two wires.
                Some(slot) if found.iter().any(|found| found.slot == slot.id()) => {}
                Some(slot) if !slot.serves(lock) => weak = Some(quoted(slot.label())),
                Some(slot) if holders(slot.holder()) => found.push(Match { token, slot: slot.id() }),
                Some(_) | None => {}
            }
        }
        (found, weak)
    }
}

/// The first of them, unless a person has to choose: between two tokens of one holder, or between more holders than are
/// needed.
fn one_of(mut found: Vec<Match>, header: &Header, needed: usize) -> Result<Option<Match>, Error> {
    let holder = |found: &Match| header.keyslot(found.slot).map(Keyslot::holder);
    let mut holders: Vec<_> = found.iter().map(holder).collect();
    holders.sort_unstable();
    holders.dedup();
    if holders.len() != found.len() || found.len() > needed {
        return Err(Error::TokenChoice(list(found.iter().map(|found| &found.token))));
    }
    found.truncate(1);
    Ok(found.pop())
}
