//! Whether a keyslot still opens its locks: proved with its token, and nothing is changed.

use crate::secret::forgetting;
use crate::service::Service;
use crate::service::error::Error;
use crate::service::guarded::Unfinished;
use crate::service::house::{House, Vault};
use crate::service::locks::{Asker, Tokens, name, quoted};
use crate::service::purpose::Purpose;
use crate::service::recovery;
use crate::service::vault_error;
use crate::service::who::Who;
use crate::token::registry::Present;
use crate::token::{Derived, Wanted};
use crate::vault::{Collected, Header, Keyslot, Lock, Share, SlotId, VaultError};
use std::sync::Arc;

/// What was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Which keyslot it was.
    pub id: SlotId,
    /// Its name.
    pub label: String,
    /// Whose it is.
    pub holder: String,
    /// Whether it is one that opens the guard lock, too.
    pub guard: bool,
}

impl Service {
    /// Has the token of that keyslot, or the only keyslot's token that is connected, give its secrets, and opens with
    /// them what the vault has sealed to it: the keys where one holder is enough, else the holder's shares.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it does not open what it should; all that a token can go wrong with.
    pub async fn check_keyslot(self: &Arc<Self>, id: Option<SlotId>, who: Who<'_>) -> Result<Checked, Error> {
        let purpose = Purpose::new("keyslot-check", "check a keyslot");
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, purpose);
        let checked = Box::pin(self.check_slot(id, who, &mut unfinished.purpose)).await;
        unfinished.end(checked.as_ref().err()).await;
        checked
    }

    async fn check_slot(
        &self,
        id: Option<SlotId>,
        who: Who<'_>,
        purpose: &mut Purpose,
    ) -> Result<Checked, Error> {
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        // What has just changed the keys may still be on its way to the disk.
        drop(self.saving.lock().await);
        let (header, _) = self.keeper.glance(House::header).await?;
        if let Some(id) = id
            && header.keyslot(id).is_none()
        {
            return Err(Error::NotFound(format!("keyslot {id}: `rootseal keyslot list` shows them")));
        }
        let (slot, source, derived) = if who.has_code() {
            self.code_gives(id, who, &header, purpose).await?
        } else {
            self.token_gives(id, who, &header, purpose).await?
        };
        self.prove(&header, slot, derived).await?;
        self.record(who.caller, purpose, Some(&source)).await?;
        self.note_proof(slot.id()).await;
        let (label, holder) = (slot.label().to_owned(), slot.holder().to_owned());
        Ok(Checked { id: slot.id(), label, holder, guard: slot.serves(Lock::Guard) })
    }

    /// The keyslot whose token it is, what that is called, and its secrets.
    async fn token_gives<'h>(
        &self,
        id: Option<SlotId>,
        who: Who<'_>,
        header: &'h Header,
        purpose: &mut Purpose,
    ) -> Result<(&'h Keyslot, String, Derived), Error> {
        let (token, id) = self.token_of(id, who.token, header).await?;
        let slot = header.keyslot(id).ok_or(Error::Failed("the keyslot is gone"))?;
        let label = format!("{} ({})", slot.label(), name(&token));
        *purpose = checking(slot);
        let wanted = Wanted { unlock: true, guard: slot.serves(Lock::Guard) };
        let asker = Asker { who, purpose };
        let held = token.worker.hold();
        let gives = self.ask_token(&asker, &token, &label, slot, wanted);
        let derived = self.unless_locked(&asker, gives).await;
        drop(held);
        who.prompter.done().await.unwrap_or(());
        Ok((slot, label, derived?))
    }

    /// The same, of a recovery code.
    async fn code_gives<'h>(
        &self,
        id: Option<SlotId>,
        who: Who<'_>,
        header: &'h Header,
        purpose: &mut Purpose,
    ) -> Result<(&'h Keyslot, String, Derived), Error> {
        let (label, _) = recovery::name(header)?;
        *purpose = Purpose::new("keyslot-check", "check that a recovery code opens the vault");
        let asker = Asker { who, purpose };
        let (slot, code) = self.unless_locked(&asker, self.ask_code(&asker, header, &label)).await?;
        *purpose = checking(slot);
        if id.is_some_and(|id| id != slot.id()) {
            return Err(Error::Invalid(format!(
                "this recovery code is the keyslot {} ({})",
                slot.id(),
                quoted(slot.label())
            )));
        }
        let wanted = Wanted { unlock: true, guard: slot.serves(Lock::Guard) };
        Ok((slot, recovery::named(slot), recovery::derive(&code, wanted)))
    }

    /// The connected token of that keyslot; of none that was named, the only one that is a keyslot's.
    async fn token_of(
        &self,
        id: Option<SlotId>,
        wanted: Option<&str>,
        header: &Header,
    ) -> Result<(Present, SlotId), Error> {
        let Tokens { present, hints, .. } = self.present_tokens(wanted).await?;
        let mut found: Vec<(Present, SlotId)> = Vec::new();
        for token in present {
            if let Some(slot) = self.slot_of(&token, header).await
                && id.is_none_or(|id| id == slot)
                && found.iter().all(|(_, other)| *other != slot)
            {
                found.push((token, slot));
            }
        }
        if found.len() > 1 {
            let tokens = found.iter().map(|(token, _)| token);
            return Err(Error::TokenChoice(crate::service::locks::list(tokens)));
        }
        let wanted = header.keyslots().iter().filter(|slot| id.is_none_or(|id| slot.id() == id));
        let labels = wanted.map(|slot| quoted(slot.label())).collect::<Vec<_>>().join(" or ");
        found.pop().ok_or(Error::WrongToken(labels, hints))
    }

    async fn prove(&self, header: &Header, slot: &Keyslot, derived: Derived) -> Result<(), Error> {
        let damaged = |error: VaultError| vault_error(&error, self.path());
        let (unlock, guard) = forgetting(|| {
            let share =
                |lock, secret: Option<_>| secret.map(|secret| slot.share(header, lock, &secret)).transpose();
            (share(Lock::Unlock, derived.unlock), share(Lock::Guard, derived.guard))
        });
        let unlock = whole(header, Lock::Unlock, unlock.map_err(damaged)?);
        let guard = whole(header, Lock::Guard, guard.map_err(damaged)?);
        // A share by itself proves that it was sealed by somebody with the guard key; a key is held against the file.
        let Some(unlock) = unlock else { return Ok(()) };
        let unlock = unlock.unlock_key().map_err(damaged)?;
        let guard = guard.map(Collected::guard_key).transpose().map_err(damaged)?;
        let path = self.path().to_owned();
        self.keeper
            .run(move |house| {
                let proved = match &house.vault {
                    Vault::Locked(vault) => vault.prove(&unlock, guard.as_ref()),
                    Vault::Unlocked(vault) => vault.prove(&unlock, guard.as_ref()),
                    Vault::Absent | Vault::Damaged(_) => return house.header().map(|_| ()),
                };
                proved.map_err(|error| vault_error(&error, &path))
            })
            .await
    }
}

fn checking(slot: &Keyslot) -> Purpose {
    let act = format!("check that {} of {} opens the vault", quoted(slot.label()), slot.holder());
    Purpose::new("keyslot-check", act)
}

/// The share, where it is all that its lock takes.
fn whole(header: &Header, lock: Lock, share: Option<Share>) -> Option<Collected> {
    let mut collected = Collected::new(header, lock);
    collected.add(share?);
    (collected.missing() == 0).then_some(collected)
}
