//! A copy of the vault's file, and a vault from such a copy.

use super::Service;
use super::error::Error;
use super::guarded::Unfinished;
use super::house::{House, Vault};
use super::locks::{Asker, Keys};
use super::problem::{Problem, vault_error};
use super::purpose::Purpose;
use super::who::Who;
use crate::store::Keep;
use crate::token::Wanted;
use crate::vault::{Header, Lock, LockedVault, SealedVault, Seen, VaultError};
use std::path::Path;
use std::sync::Arc;

/// What a copy is called in errors: its path is the client's business.
const BACKUP: &str = "the backup";

impl Service {
    /// The vault's file as it is, sealed as ever: what cannot be read back is not handed out.
    ///
    /// # Errors
    /// [`Error::Damaged`] and its like; [`Error::NoVault`].
    pub async fn backup(&self, who: Who<'_>) -> Result<Vec<u8>, Error> {
        // Between a file that is replaced and a vault that does not know of it yet, both would look damaged.
        let _quiet = self.saving.lock().await;
        let bytes = self.disk.peek_vault().await?.ok_or(Error::NoVault)?;
        let (copy, path) = (bytes.clone(), self.path.clone());
        self.keeper
            .run(move |house| {
                let seen = house.machine.seen;
                let read = SealedVault::parse(copy).and_then(|vault| vault.check(seen.as_ref()));
                let damaged = |error: &VaultError| Problem::new(error, &path).error();
                let read = read.map_err(|error| damaged(&error))?;
                match &house.vault {
                    Vault::Unlocked(vault) => vault.verify(&read).map_err(|error| damaged(&error)),
                    Vault::Absent | Vault::Damaged(_) | Vault::Locked(_) => Ok(()),
                }
            })
            .await?;
        self.record(who.caller, &Purpose::new("vault-backup", "copy the sealed vault"), None).await?;
        Ok(bytes)
    }

    /// Puts a copy in the place of what is there, with the consent of the copy's own holders; leaves it
    /// locked. It is saved above everything that this machine has seen, with new keys. `older`: also over a later state that is
    /// sound.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a copy of another vault; [`Error::InUse`] where a later one is there and `older` is not
    /// said; all that a token and a damaged copy can go wrong with.
    pub async fn restore(self: &Arc<Self>, bytes: Vec<u8>, older: bool, who: Who<'_>) -> Result<(), Error> {
        let purpose = Purpose::new("vault-restore", "restore the vault from a backup");
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, purpose);
        let restored = Box::pin(self.restore_from(bytes, older, who, &mut unfinished.purpose)).await;
        unfinished.end(restored.as_ref().err()).await;
        restored
    }

    async fn restore_from(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        older: bool,
        who: Who<'_>,
        purpose: &mut Purpose,
    ) -> Result<(), Error> {
        let copy = read(bytes)?;
        let header = copy.header().clone();
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        drop(self.saving.lock().await);
        let place = self.keeper.run(|house| Place::of(house)).await?;
        place.may_take(&header, older)?;
        self.demand_reason(who.caller).await?;
        *purpose = Purpose::new("vault-restore", place.act(&header));
        let key = self.find_key(&who, header, Lock::Guard).await?;
        let asker = Asker { who, purpose };
        let (Keys { unlock, guard, token }, _it_stays_locked) =
            self.open_locks(&asker, key, Wanted { unlock: true, guard: true }).await?;
        let saving = Arc::clone(&self.saving).lock_owned().await;
        if self.keeper.run(|house| Place::of(house)).await? != place {
            return Err(Error::Failed("the vault changed while the prompt was shown: nothing was done"));
        }
        let (seen, keep) = (place.seen, if place.there.is_some() { Keep::Previous } else { Keep::Earlier });
        let unlock = unlock.ok_or(Error::Failed("the token gave no unlock key"))?;
        let guard = guard.ok_or(Error::Failed("the token gave no guard key"))?;
        let staged = self
            .keeper
            .ask(move |_house| {
                let mut vault = copy.unlock(unlock).map_err(|(_locked, error)| error)?;
                let above = seen.unwrap_or_else(|| vault.seen());
                let mut draft = vault.guard(guard)?.edit();
                draft.supersede(&above)?;
                draft.seal()
            })
            .await?
            .map_err(|error: VaultError| vault_error(&error, Path::new(BACKUP)))?;
        self.record(who.caller, purpose, Some(&token)).await?;
        let service = Arc::clone(self);
        let saved = tokio::spawn(async move {
            // What the copy had sealed of the log is older.
            let (staged, _locked_before_it_serves) = service.anchored(staged).await?;
            if let Err(error) = service.disk.save_vault(staged.bytes().to_vec(), keep).await {
                service.resume_session().await;
                service.lock_where_in_doubt(&error).await?;
                return Err(error);
            }
            service.lock().await?;
            service
                .keeper
                .ask(move |house| {
                    house.machine.seen = Some(staged.seen());
                    house.reload(Some(staged.bytes().to_vec()));
                })
                .await?;
            service.remember_or_warn().await;
            drop(saving);
            service.changed();
            Ok(())
        });
        saved.await.map_err(|_panicked| Error::Failed("saving was interrupted"))?
    }
}

/// A copy, whichever it is of those that were made.
pub(super) fn read(bytes: Vec<u8>) -> Result<LockedVault, Error> {
    SealedVault::parse(bytes).and_then(|vault| vault.check(None)).map_err(|error| damaged(&error))
}

/// What is wrong with a copy.
pub(super) fn damaged(error: &VaultError) -> Error {
    Problem::new(error, Path::new(BACKUP)).error()
}

/// What a restored vault takes the place of.
#[derive(PartialEq, Eq)]
struct Place {
    /// What this machine saw last.
    seen: Option<Seen>,
    /// The header of what is there, where that is sound.
    there: Option<Header>,
}

impl Place {
    fn of(house: &House) -> Result<Self, Error> {
        house.trusted()?;
        Ok(Self { seen: house.machine.seen, there: house.header().ok().map(|(header, _)| header) })
    }

    /// Refuses a copy of another vault; what a later one would lose, unless that is said; and, where the vault that is
    /// there wants more holders, that fewer take it back.
    fn may_take(&self, copy: &Header, older: bool) -> Result<(), Error> {
        let ids = [self.seen.map(|seen| seen.vault_id), self.there.as_ref().map(Header::vault_id)];
        if ids.into_iter().flatten().any(|id| id != copy.vault_id()) {
            return Err(Error::Invalid(
                "this is a backup of another vault: to open it on this machine, use another data directory"
                    .to_owned(),
            ));
        }
        let Some(there) = &self.there else { return Ok(()) };
        for lock in [Lock::Unlock, Lock::Guard] {
            let (now, then) = (there.thresholds().of(lock), copy.thresholds().of(lock));
            if then < now {
                return Err(Error::InUse(format!(
                    "the vault that is there is sound and wants {now} holders where the backup wants {then}: lower \
                     that with `rootseal quorum set` first"
                )));
            }
        }
        let later = there.epoch() > copy.epoch() || there.generation() >= copy.generation();
        if later && !older {
            return Err(Error::InUse(format!(
                "the vault that is there has generation {} and is sound, the backup has {}: what was changed since \
                 would be lost; say --older to restore it all the same",
                there.generation(),
                copy.generation()
            )));
        }
        Ok(())
    }

    /// The words of the prompt.
    fn act(&self, copy: &Header) -> String {
        let place = match (&self.there, self.seen) {
            (Some(there), _) => format!(" in place of generation {}", there.generation()),
            (None, Some(seen)) => {
                format!(" in place of generation {}, which is damaged or gone", seen.generation)
            }
            (None, None) => String::new(),
        };
        let removed = if self.seen.is_some_and(|seen| seen.epoch > copy.epoch()) {
            "; keyslots that were removed since open it again"
        } else {
            ""
        };
        let other_rules = self.there.as_ref().is_some_and(|there| there.policy() != copy.policy());
        let rules = if other_rules { "; with another policy than now" } else { "" };
        let [unlock, guard] = [Lock::Unlock, Lock::Guard].map(|lock| copy.thresholds().of(lock));
        let rule = if guard > 1 || !removed.is_empty() {
            format!("; {unlock} of its holders unlock it, and {guard} use what is guarded")
        } else {
            String::new()
        };
        format!("restore the vault of generation {}{place}{removed}{rules}{rule}", copy.generation())
    }
}
