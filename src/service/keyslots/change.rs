//! Changes of the keyslots and thresholds, each a guarded operation; and a keyslot's name, which is none.

use super::add::{labels, vacant};
use crate::service::enrol::SlotName;
use crate::service::error::Error;
use crate::service::guarded::{Done, Guarded, Tools};
use crate::service::house::House;
use crate::service::locks::quoted;
use crate::service::purpose::Purpose;
use crate::service::recovery::is_code;
use crate::service::seeds::SeedKey;
use crate::service::who::Who;
use crate::service::{Service, vault_error};
use crate::vault::{Guard, Header, Keyslot, Lock, SlotId, Staged, Thresholds};
use std::sync::Arc;

/// What is to become of the keyslots. Each makes new keys: what a token opened before opens nothing saved afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotChange {
    /// One goes.
    Remove(SlotId),
    /// All stay, and get shares of new keys. None of their tokens has to be there, but those that consent.
    Rekey,
    /// So many holders are needed from now on.
    Thresholds {
        /// For the unlock lock.
        unlock: u32,
        /// For the guard lock.
        guard: u32,
    },
}

impl SlotChange {
    const fn event(self) -> &'static str {
        match self {
            Self::Remove(_) => "keyslot-remove",
            Self::Rekey => "rekey",
            Self::Thresholds { .. } => "quorum-set",
        }
    }

    /// What is asked for, whatever the vault is like: a locked one does not say, and who consents must know.
    fn asked(self) -> String {
        match self {
            Self::Remove(id) => format!("remove the keyslot {id}, and make new keys"),
            Self::Rekey => "make new keys for all keyslots".to_owned(),
            Self::Thresholds { unlock, guard } => rule(unlock, guard),
        }
    }

    /// What it does, in the words of the prompt; or why it cannot be done.
    fn act(self, header: &Header) -> Result<String, Error> {
        match self {
            Self::Remove(id) => {
                let slot = slot(header, id)?;
                needed(header, slot)?;
                let (label, holder) = (quoted(slot.label()), slot.holder());
                Ok(format!("remove the keyslot {label} of {holder}, and make new keys"))
            }
            Self::Rekey => Ok(self.asked()),
            Self::Thresholds { .. } => {
                self.thresholds(header)?;
                Ok(self.asked())
            }
        }
    }

    fn thresholds(self, header: &Header) -> Result<Thresholds, Error> {
        let Self::Thresholds { unlock, guard } = self else { return Ok(header.thresholds()) };
        let there = header.holders(Lock::Guard).len();
        Thresholds::new(unlock.into(), guard.into(), there as u64).map_err(|_rule| {
            Error::Invalid(format!(
                "the thresholds must be 1 \u{2264} unlock \u{2264} guard \u{2264} {there}, as many holders as have a \
                 keyslot that opens what is guarded"
            ))
        })
    }
}

fn rule(unlock: u32, guard: u32) -> String {
    format!(
        "have {} to unlock and {} to use what is guarded consent, and make new keys",
        holders(unlock as usize),
        holders(guard as usize),
    )
}

fn holders(count: usize) -> String {
    format!("{count} {}", if count == 1 { "holder" } else { "holders" })
}

fn slot(header: &Header, id: SlotId) -> Result<&Keyslot, Error> {
    let there = header.keyslot(id);
    there.ok_or_else(|| Error::NotFound(format!("keyslot {id}: `rootseal keyslot list` shows them")))
}

/// Refuses to let go of a keyslot without which a threshold could not be met.
fn needed(header: &Header, slot: &Keyslot) -> Result<(), Error> {
    let others = header.keyslots().iter().filter(|other| other.id() != slot.id());
    if others.filter(|other| other.serves(Lock::Guard)).all(is_code) {
        return Err(Error::InUse(format!(
            "the keyslot {} is needed: no other token opens what is guarded; add another one first",
            quoted(slot.label())
        )));
    }
    for lock in [Lock::Unlock, Lock::Guard] {
        let mut left: Vec<_> = header
            .keyslots()
            .iter()
            .filter(|other| other.id() != slot.id() && other.serves(lock))
            .map(Keyslot::holder)
            .collect();
        left.sort_unstable();
        left.dedup();
        let threshold = header.thresholds().of(lock).into();
        if left.len() < threshold {
            return Err(Error::InUse(format!(
                "the keyslot {} is needed: {} must be able to consent, and without it there would be {}; add \
                 another keyslot, or lower the threshold with `rootseal quorum set`",
                quoted(slot.label()),
                holders(threshold),
                left.len(),
            )));
        }
    }
    Ok(())
}

impl Service {
    /// Changes keyslots or thresholds with the consent of as many holders as it takes now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`] for a keyslot that is needed, [`Error::Invalid`] thresholds; all that a
    /// guarded operation can go wrong with.
    pub async fn change_keyslots(self: &Arc<Self>, change: SlotChange, who: Who<'_>) -> Result<(), Error> {
        let Done { yielded, purpose, token, saving, .. } =
            self.guarded(Arc::new(Changing(change)), who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        self.save(yielded, saving.ok_or(Error::Failed("no turn to save"))?).await
    }

    /// Gives a keyslot another name. The manifest does not cover it: an open index is enough.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], [`Error::Invalid`], [`Error::Locked`].
    pub async fn relabel_keyslot(
        self: &Arc<Self>,
        id: SlotId,
        label: String,
        who: Who<'_>,
    ) -> Result<(), Error> {
        let (before, holder, taken) = self
            .keeper
            .run(move |house| {
                let header = house.unlocked()?.header();
                let slot = slot(header, id)?;
                Ok((slot.label().to_owned(), slot.holder().to_owned(), labels(header)))
            })
            .await?;
        SlotName::new(&label, &holder)?;
        vacant(&label, &taken)?;
        let act = format!("call the keyslot {} {} from now on", quoted(&before), quoted(&label));
        self.record(who.caller, &Purpose::new("keyslot-relabel", act), None).await?;
        self.edit(String::new(), move |draft| draft.relabel_slot(id, label)).await
    }
}

struct Changing(SlotChange);

impl Guarded for Changing {
    const OPENS_LOCKED: bool = true;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = String;
    type Yield = Staged;

    fn plan(&self, house: &House) -> Result<String, Error> {
        self.0.act(&house.header()?.0)
    }

    fn purpose(&self, act: Option<&String>) -> Purpose {
        Purpose::new(self.0.event(), act.cloned().unwrap_or_else(|| self.0.asked()))
    }

    fn seed(&self, _: &String) -> Option<SeedKey> {
        None
    }

    fn act(&self, _: &String, guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<Staged, Error> {
        let thresholds = self.0.thresholds(guard.vault().header())?;
        let mut draft = guard.edit();
        match self.0 {
            SlotChange::Remove(id) => draft.remove_slot(id),
            SlotChange::Rekey => draft.rekey_at_seal(),
            SlotChange::Thresholds { .. } => draft.set_thresholds(thresholds),
        }
        .and_then(|()| draft.seal())
        .map_err(|error| vault_error(&error, tools.path))
    }
}
