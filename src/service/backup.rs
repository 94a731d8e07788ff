//! A copy of the vault's file, and a vault from such a copy.

use super::Service;
use super::error::Error;
use super::house::{House, Vault};
use super::locks::{Asker, Keys};
use super::problem::{Problem, vault_error};
use super::purpose::Purpose;
use super::who::Who;
use crate::store::Keep;
use crate::token::Wanted;
use crate::vault::{Header, Lock, SealedVault, Seen, VaultError};
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
        let mut purpose = Purpose::new("vault-restore", "restore the vault from a backup");
        let restored = self.restore_from(bytes, older, who, &mut purpose).await;
        if let Err(error) = &restored {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        restored
    }

    async fn restore_from(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        older: bool,
        who: Who<'_>,
        purpose: &mut Purpose,
    ) -> Result<(), Error> {
        let path = Path::new(BACKUP);
        let damaged = |error: VaultError| Problem::new(&error, path).error();
        let copy = SealedVault::parse(bytes).and_then(|vault| vault.check(None)).map_err(damaged)?;
        let header = copy.header().clone();
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        let (seen, there) = self.keeper.ask(|house| (house.machine.seen, there(house))).await?;
        may_replace(&header, seen.as_ref(), there, older)?;
        *purpose = Purpose::new("vault-restore", act(&header, seen.as_ref(), there));
        let key = self.find_key(&who, header, Lock::Guard).await?;
        let asker = Asker { who, purpose };
        let Keys { unlock, guard, token } =
            self.open_locks(&asker, key, Wanted { unlock: true, guard: true }).await?;
        let saving = Arc::clone(&self.saving).lock_owned().await;
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
            .map_err(|error: VaultError| vault_error(&error, path))?;
        self.record(who.caller, purpose, Some(&token)).await?;
        let service = Arc::clone(self);
        let saved = tokio::spawn(async move {
            // What the copy had sealed of the log is older.
            let (staged, _locked_before_it_serves) = service.anchored(staged).await?;
            if let Err(error) = service.disk.save_vault(staged.bytes().to_vec(), Keep::Previous).await {
                service.resume_session().await;
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
            service.remember().await?;
            drop(saving);
            service.changed();
            Ok(())
        });
        saved.await.map_err(|_panicked| Error::Failed("saving was interrupted"))?
    }
}

/// The generation of what is in the vault's place, where that is sound.
fn there(house: &House) -> Option<u64> {
    house.header().ok().map(|(header, _)| header.generation())
}

fn may_replace(header: &Header, seen: Option<&Seen>, there: Option<u64>, older: bool) -> Result<(), Error> {
    if seen.is_some_and(|seen| seen.vault_id != header.vault_id()) {
        return Err(Error::Invalid(
            "this is a backup of another vault: to open it on this machine, use another data directory"
                .to_owned(),
        ));
    }
    match there {
        Some(there) if there >= header.generation() && !older => Err(Error::InUse(format!(
            "the vault that is there has generation {there} and is sound, the backup has {}: what was changed since \
             would be lost; say --older to restore it all the same",
            header.generation()
        ))),
        _ => Ok(()),
    }
}

fn act(header: &Header, seen: Option<&Seen>, there: Option<u64>) -> String {
    let generation = header.generation();
    let place = match (there, seen) {
        (Some(there), _) => format!(" in place of generation {there}"),
        (None, Some(seen)) => {
            format!(" in place of generation {}, which is damaged or gone", seen.generation)
        }
        (None, None) => String::new(),
    };
    let removed = if seen.is_some_and(|seen| seen.epoch > header.epoch()) {
        "; keyslots that were removed since open it again"
    } else {
        ""
    };
    format!("restore the vault of generation {generation}{place}{removed}")
}
