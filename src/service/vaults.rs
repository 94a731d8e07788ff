//! Making a vault, opening its index, closing it.

use super::error::Error;
use super::house::Vault;
use super::locks::{Asker, PATIENCE, list, name};
use super::purpose::Purpose;
use super::who::Who;
use super::{Service, vault_error};
use crate::secret::forgetting;
use crate::store::Keep;
use crate::token::registry::Present;
use crate::token::{Derived, PinPurpose, Wanted};
use crate::vault::{NewSlot, NewVault, SealedVault, Thresholds};
use std::sync::Arc;

/// What a new vault is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVaultOptions {
    /// The keyslot's name.
    pub label: String,
    /// Whose token it is.
    pub holder: String,
}

impl Service {
    /// Enrols a token and makes the vault that it opens; leaves it open.
    ///
    /// # Errors
    /// [`Error::Exists`] where there is one; all that a token can go wrong with.
    pub async fn create_vault(self: &Arc<Self>, options: NewVaultOptions, who: Who<'_>) -> Result<(), Error> {
        for (field, text) in [("label", &options.label), ("holder", &options.holder)] {
            if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
                return Err(Error::Invalid(format!(
                    "the {field} must have 1 to 64 bytes and no control characters"
                )));
            }
        }
        let purpose = Purpose::new(
            "create-vault",
            format!("make a vault that \u{201c}{}\u{201d} opens", options.label),
        );
        let result = self.create(options, who, &purpose).await;
        if let Err(error) = &result {
            self.record_refusal(who.caller, &purpose, error).await;
        }
        result
    }

    async fn create(
        self: &Arc<Self>,
        options: NewVaultOptions,
        who: Who<'_>,
        purpose: &Purpose,
    ) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
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
        let mut present = self.present_tokens(who.token).await?;
        if present.len() > 1 {
            return Err(Error::TokenChoice(list(present.iter())));
        }
        let token = present.pop().ok_or(Error::NoToken)?;
        let asker = Asker { who, purpose };
        let held = token.worker.hold();
        let enrolled = self.enrol(&asker, &token).await;
        drop(held);
        who.prompter.done().await.unwrap_or(());
        let (binding, derived) = enrolled?;

        let saving = Arc::clone(&self.saving).lock_owned().await;
        let unlock = derived.unlock.ok_or(Error::Failed("the token gave no secret"))?;
        let slot = NewSlot {
            holder: options.holder,
            label: options.label,
            kind: "fido2".to_owned(),
            created: self.clock.now(),
            binding,
            unlock,
            guard: derived.guard,
        };
        let vault = forgetting(|| NewVault::create(slot, Thresholds::ONE))
            .map_err(|error| vault_error(&error, &self.path))?;
        self.record(who.caller, purpose, Some(&name(&token))).await?;
        let bytes = vault.bytes().to_vec();
        let service = Arc::clone(self);
        let saved = tokio::spawn(async move {
            service.disk.save_vault(bytes, Keep::Previous).await?;
            service
                .keeper
                .ask(move |house| {
                    let vault = vault.into_unlocked();
                    house.machine =
                        super::machine::Machine { seen: Some(vault.seen()), ..Default::default() };
                    house.vault = Vault::Unlocked(Box::new(vault));
                })
                .await?;
            service.remember().await?;
            drop(saving);
            service.changed();
            Ok(())
        });
        saved.await.map_err(|_panicked| Error::Failed("saving was interrupted"))?
    }

    /// A credential, then its secrets: two commands, each with a touch of its own.
    async fn enrol(&self, asker: &Asker<'_>, token: &Present) -> Result<(Vec<u8>, Derived), Error> {
        let label = name(token);
        let pin = if token.traits.needs_pin {
            Some(self.verify_pin(asker, token, &label, PinPurpose::Create).await?)
        } else {
            None
        };
        let first = format!("{label} (1 of 2)");
        let binding = self
            .touch(asker, token, &first, |token, patience, blinks| token.create(patience, blinks))
            .await?;
        if let Some(pin) = pin {
            token
                .worker
                .run(PATIENCE, move |token, patience| token.verify_pin(&pin, PinPurpose::Derive, patience))
                .await?;
        }
        let second = format!("{label} (2 of 2)");
        let both = Wanted { unlock: true, guard: true };
        let made = binding.clone();
        let derived = self
            .touch(asker, token, &second, move |token, patience, blinks| {
                token.derive(&made, both, patience, blinks)
            })
            .await?;
        Ok((binding, derived))
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
        let (header, open) = self.keeper.glance(|house| house.header()).await?;
        if open {
            return Ok(());
        }
        let asker = Asker { who, purpose };
        let key = self.find_key(&who, header).await?;
        let keys = self.open_locks(&asker, key, Wanted { unlock: true, guard: false }).await?;
        let key = keys.unlock.ok_or(Error::Failed("the token gave no unlock key"))?;
        self.record(who.caller, purpose, Some(&keys.token)).await?;
        self.keeper.run(move |house| house.unlock(key)).await?;
        self.changed();
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
        if self.keeper.ask(super::house::House::lock).await? {
            self.changed();
        }
        Ok(())
    }

    /// Reads the file again and verifies what the unlock key can verify. Returns generation and items.
    ///
    /// # Errors
    /// [`Error::Damaged`] and its like; [`Error::Locked`].
    pub async fn check(&self) -> Result<(u64, u64), Error> {
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
