//! Making a vault, opening its index, closing it.

use super::enrol::{SlotName, only_one};
use super::error::{Error, Hints};
use super::house::{House, Vault};
use super::locks::{Asker, name, quoted};
use super::purpose::Purpose;
use super::recovery::NewRecovery;
use super::removal::Opener;
use super::who::Who;
use super::{Service, count, vault_error};
use crate::secret::forgetting;
use crate::store::Keep;
use crate::token::{NewKey, Wanted};
use crate::vault::{Lock, NewSlot, NewVault, SealedVault, Thresholds};
use std::sync::Arc;

/// What a new vault is to be called.
pub struct NewVaultOptions {
    /// The keyslot's name.
    pub label: String,
    /// Whose token it is.
    pub holder: String,
    /// A recovery code that is to open it, too.
    pub recovery: Option<NewRecovery>,
}

impl Service {
    /// Enrols a token and makes the vault that it opens; leaves it open.
    ///
    /// # Errors
    /// [`Error::Exists`] where there is one; all that a token can go wrong with.
    pub async fn create_vault(
        self: &Arc<Self>,
        options: NewVaultOptions,
        key: NewKey,
        who: Who<'_>,
    ) -> Result<(), Error> {
        let NewVaultOptions { label, holder, recovery } = options;
        let slot = SlotName::new(&label, &holder)?;
        let too = recovery
            .as_ref()
            .map(|code| format!(", and a recovery code without a token: {}", quoted(code.label())));
        let act = format!("make a vault that {} opens{}", quoted(&label), too.unwrap_or_default());
        let purpose = Purpose::new("create-vault", act);
        let further = recovery.map(|code| code.slot(self.clock.now())).transpose()?;
        if further.as_ref().is_some_and(|code| code.label == label) {
            return Err(Error::Invalid(
                "the token and the recovery code must have different labels".to_owned(),
            ));
        }
        let result = self.create(slot, further, key, who, &purpose).await;
        if let Err(error) = &result {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        result
    }

    async fn create(
        self: &Arc<Self>,
        slot: SlotName,
        further: Option<NewSlot>,
        key: NewKey,
        who: Who<'_>,
        purpose: &Purpose,
    ) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        self.is_awake()?;
        let mut opening = self.opening();
        self.refresh().await?;
        let path = self.path.clone();
        self.keeper
            .run(move |house| match &house.vault {
                Vault::Absent => Ok(()),
                Vault::Damaged(problem) => Err(problem.error()),
                Vault::Locked(_) | Vault::Unlocked(_) => {
                    Err(Error::Exists(format!("a vault at {}: it stays as it is", path.display())))
                }
            })
            .await?;
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let tokens = self.present_tokens(who.token).await?;
        let token = only_one(tokens.present, &key)?.ok_or(Error::NoToken(Hints::default()))?;
        if !token.kind.opens_guard() {
            return Err(Error::Invalid(format!(
                "{} has no PIN, so it cannot open what a vault guards: begin with another token",
                name(&token)
            )));
        }
        let asker = Asker { who, purpose };
        let enrolled = self.enrol(&asker, &token, key).await?;

        let saving = Arc::clone(&self.saving).lock_owned().await;
        let slot = slot.with(enrolled, self.clock.now())?;
        let slots = std::iter::once(slot).chain(further).collect();
        let vault = forgetting(|| NewVault::create(slots, Thresholds::ONE))
            .map_err(|error| vault_error(&error, &self.path))?;
        let (vault, session) = self.record_new_vault(who.caller, purpose, &name(&token), vault).await?;
        let bytes = vault.bytes().to_vec();
        if let Some(slot) = vault.header().keyslots().first() {
            opening.by.push(Opener { slot: slot.id(), thread: token.worker.mark(), last: true });
        }
        let service = Arc::clone(self);
        let saved = tokio::spawn(async move {
            service.disk.save_vault(bytes, Keep::Previous).await?;
            service.keeper.ask(move |house| house.open_new(vault.into_unlocked(), session, opening)).await?;
            service.journal("the vault is made");
            service.remember_or_warn().await;
            drop(saving);
            service.changed();
            Ok(())
        });
        saved.await.map_err(|_panicked| Error::Failed("saving was interrupted"))?
    }

    /// Opens the index. Nothing happens when it is open.
    ///
    /// # Errors
    /// All that a token or a damaged vault can go wrong with.
    pub async fn unlock(self: &Arc<Self>, who: Who<'_>) -> Result<(), Error> {
        let purpose = Purpose::new("unlock", "unlock the vault");
        let result = self.unlock_with(who, &purpose).await;
        if let Err(error) = &result {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        result
    }

    async fn unlock_with(self: &Arc<Self>, who: Who<'_>, purpose: &Purpose) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        let (header, open) = self.keeper.glance(House::header).await?;
        if open {
            return Ok(());
        }
        let asker = Asker { who, purpose };
        let key = self.find_key(&who, header, Lock::Unlock).await?;
        let (keys, opening) = self.open_locks(&asker, key, Wanted { unlock: true, guard: false }).await?;
        let key = keys.unlock.ok_or(Error::Failed("the token gave no unlock key"))?;
        self.open_vault(who.caller, purpose, &keys.token, key, opening).await?;
        let remembered = self.remember().await;
        if remembered.is_err() {
            // What failed did not happen.
            self.lock().await?;
        }
        remembered
    }

    /// Wipes keys, index and sessions, at once, whatever else is going on.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn lock(&self) -> Result<(), Error> {
        self.wipe().await.map(drop)
    }

    /// The same, without anybody asking.
    pub(super) async fn lock_because(&self, why: &'static str) -> Result<(), Error> {
        if self.wipe().await? {
            tracing::info!("the vault locked by itself: {why}");
        }
        Ok(())
    }

    async fn wipe(&self) -> Result<bool, Error> {
        // Whoever is about to open it gives up.
        self.locks.send_modify(count);
        self.wrong_pins.clear();
        let was_open = self.keeper.ask(House::lock).await?;
        if was_open {
            self.tell_locked();
        }
        Ok(was_open)
    }

    pub(super) fn tell_locked(&self) {
        self.changed();
        self.journal("the vault is locked");
    }

    /// Reads the file again and verifies what the unlock key can verify. Returns generation and items.
    ///
    /// # Errors
    /// [`Error::Damaged`] and its like; [`Error::Locked`].
    pub async fn check(&self) -> Result<(u64, u64), Error> {
        let _quiet = self.saving.lock().await;
        let bytes = self.disk.peek_vault().await?.ok_or(Error::NoVault)?;
        let path = self.path.clone();
        self.keeper
            .run(move |house| {
                let seen = house.machine.seen;
                let vault = house.unlocked()?;
                let damaged = |error| super::problem::Problem::new(&error, &path).error();
                let again =
                    SealedVault::parse(bytes).map_err(damaged)?.check(seen.as_ref()).map_err(damaged)?;
                vault.verify(&again).map_err(damaged)?;
                Ok((vault.generation(), vault.index().items().len() as u64))
            })
            .await
    }
}
