//! A further keyslot of a vault that is there.

use crate::service::enrol::{SlotName, only_one};
use crate::service::error::Error;
use crate::service::guarded::{Done, Guarded, Tools};
use crate::service::house::House;
use crate::service::locks::{Asker, list, quoted};
use crate::service::purpose::Purpose;
use crate::service::seeds::SeedKey;
use crate::service::who::Who;
use crate::service::{Service, vault_error};
use crate::token::registry::Present;
use crate::token::{Kind, NewKey};
use crate::vault::{Guard, Header, Keyslot, Lock, NewSlot, SlotId, Staged};
use std::sync::{Arc, Mutex};

/// A keyslot to be added.
pub struct NewKeyslot {
    /// What the token is to be called.
    pub label: String,
    /// Whose it is; where it is not said, that of the only holder there is.
    pub holder: Option<String>,
    /// The enrolled token that consents, where several are connected.
    pub with: Option<String>,
    /// How its key is to be made.
    pub key: NewKey,
}

impl Service {
    /// Enrols the token that `who` names, or the only one that is not enrolled yet, with the consent of one that is.
    /// The new token comes first: the guard key is there for no longer than it takes to seal it anew.
    ///
    /// # Errors
    /// [`Error::Exists`] for a token that is a keyslot, or a label that is taken; all that a token and a guarded
    /// operation can go wrong with.
    pub async fn add_keyslot(self: &Arc<Self>, new: NewKeyslot, who: Who<'_>) -> Result<SlotId, Error> {
        let purpose =
            Purpose::new("keyslot-add", format!("enrol \u{201c}{}\u{201d} as a keyslot", new.label));
        let (label, with) = (new.label.clone(), new.with.clone());
        let consenting = Who { token: with.as_deref(), ..who };
        let slot = self.enrol_further(new, who, consenting, &purpose).await;
        if let Err(error) = &slot {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        let slot = slot?;
        // Those who consent must see whose it is: it counts as theirs from then on.
        let act = format!("let {} of {} open this vault, too", quoted(&label), slot.holder);
        let request = Arc::new(AddSlot::new(act, label, slot));
        let Done { yielded: (staged, id), purpose, token, saving, .. } =
            self.guarded(request, consenting).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        self.save(staged, saving.ok_or(Error::Failed("no turn to save"))?).await?;
        Ok(id)
    }

    async fn enrol_further(
        &self,
        new: NewKeyslot,
        who: Who<'_>,
        consenting: Who<'_>,
        purpose: &Purpose,
    ) -> Result<NewSlot, Error> {
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        let (header, _) = self.keeper.glance(House::header).await?;
        let holder = holder(&new, &header)?;
        let slot = SlotName::new(&new.label, &holder)?;
        vacant(&new.label, &labels(&header))?;
        // A token that could not consent afterwards is found out before anything is made on the new one.
        if let Err(error) = self.find_key(&consenting, header.clone(), Lock::Guard).await {
            let Error::TokenChoice(tokens) = error else { return Err(error) };
            return Err(Error::ConsentChoice(tokens));
        }
        let token = self.find_further(who.token, &new.key, &header).await?;
        let act = format!("{} of {holder}{}{}", purpose.act, is_new(&holder, &header), warning(&token));
        let warned = Purpose::new(purpose.event, act);
        let asker = Asker { who, purpose: &warned };
        slot.with(self.enrol(&asker, &token, new.key).await?, self.clock.now())
    }

    /// The token to be enrolled: the one that was named, or the only one that is no keyslot.
    async fn find_further(
        &self,
        wanted: Option<&str>,
        key: &NewKey,
        header: &Header,
    ) -> Result<Present, Error> {
        let mut others = Vec::new();
        for token in self.present_tokens(wanted).await?.present {
            match self.slot_of(&token, header).await.and_then(|id| header.keyslot(id)) {
                None => others.push(token),
                Some(slot) if wanted.is_some() => {
                    return Err(Error::Exists(format!(
                        "a keyslot of this token: \u{201c}{}\u{201d}",
                        slot.label()
                    )));
                }
                Some(_) => {}
            }
        }
        let further = only_one(others, key)?.ok_or(Error::NoFurtherToken)?;
        // A card may be the very device that consents, by another of its applications: nobody should take that for a
        // spare unawares.
        if wanted.is_none() && key.is_plain() && further.kind != Kind::Fido {
            return Err(Error::TokenChoice(list([&further].into_iter())));
        }
        Ok(further)
    }
}

/// What its owner should know before consenting.
fn warning(token: &Present) -> &'static str {
    if token.kind.opens_guard() {
        ""
    } else {
        " (it has no PIN: whoever holds it can see what the vault contains, but none of its secrets)"
    }
}

fn holder(new: &NewKeyslot, header: &Header) -> Result<String, Error> {
    if let Some(holder) = &new.holder {
        return Ok(holder.clone());
    }
    let mut holders = header.keyslots().iter().map(Keyslot::holder);
    match holders.next() {
        Some(first) if holders.all(|holder| holder == first) => Ok(first.to_owned()),
        _ => Err(Error::Invalid(
            "the vault has several holders: say with --holder whose token it is".to_owned(),
        )),
    }
}

/// Refuses a label that another keyslot has.
pub(in crate::service) fn vacant(label: &str, taken: &[String]) -> Result<(), Error> {
    if taken.iter().any(|taken| taken == label) {
        return Err(Error::Exists(format!("a keyslot called \u{201c}{label}\u{201d}")));
    }
    Ok(())
}

/// What the keyslots are called.
pub(in crate::service) fn labels(header: &Header) -> Vec<String> {
    header.keyslots().iter().map(|slot| slot.label().to_owned()).collect()
}

/// One more person to be counted: who consents to that should not take it for a spare.
pub(in crate::service) fn is_new(holder: &str, header: &Header) -> &'static str {
    let known = header.keyslots().iter().any(|slot| slot.holder() == holder);
    if known { "" } else { ", a new holder" }
}

/// Seals a new keyslot in.
pub(in crate::service) struct AddSlot {
    act: String,
    label: String,
    /// Taken out when it is sealed.
    slot: Mutex<Option<NewSlot>>,
}

impl AddSlot {
    /// `act`: in the words of the prompt.
    pub(in crate::service) fn new(act: String, label: String, slot: NewSlot) -> Self {
        Self { act, label, slot: Mutex::new(Some(slot)) }
    }
}

impl Guarded for AddSlot {
    const OPENS_LOCKED: bool = true;
    const SPENDS_CODE: bool = false;
    const SAVES: bool = true;
    type Plan = ();
    type Yield = (Staged, SlotId);

    fn plan(&self, house: &House) -> Result<(), Error> {
        vacant(&self.label, &labels(house.unlocked()?.header()))
    }

    fn purpose(&self, _: Option<&()>) -> Purpose {
        Purpose::new("keyslot-add", self.act.as_str())
    }

    fn seed(&self, (): &()) -> Option<SeedKey> {
        None
    }

    fn act(&self, (): &(), guard: Guard<'_>, tools: &mut Tools<'_>) -> Result<(Staged, SlotId), Error> {
        let slot = self.slot.lock().ok().and_then(|mut slot| slot.take());
        let slot = slot.ok_or(Error::Failed("the keyslot is sealed already"))?;
        let mut draft = guard.edit();
        draft
            .add_slot(slot)
            .and_then(|id| Ok((draft.seal()?, id)))
            .map_err(|error| vault_error(&error, tools.path))
    }
}
