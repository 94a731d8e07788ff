//! The recovery code in a token's place: a new one, and one that a person gives.

use super::enrol::SlotName;
use super::error::Error;
use super::keyslots::add::{AddSlot, is_new, labels, vacant};
use super::locks::{Asker, quoted};
use super::who::Who;
use super::{Service, vault_error};
use crate::secret::{RecoveryCode, forgetting};
use crate::service::guarded::Done;
use crate::service::house::House;
use crate::token::Wanted;
use crate::token::prompter::{Ask, Refusal};
pub(super) use crate::token::recovery::derive;
use crate::token::recovery::{self, RECOVERY};
use crate::vault::{Header, Keyslot, Lock, NewSlot, SlotId, VaultError};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a person has to copy 64 characters from paper.
const TYPING: Duration = Duration::from_mins(10);

/// How often it may be typed before all has to be asked for again: whoever types keeps others from asking.
const TRIES: u32 = 5;

/// What it is called where nobody calls it anything else.
const NAME: &str = "recovery code";

/// A code that was just made, and what its keyslot is to be called.
pub struct NewRecovery {
    label: String,
    holder: String,
    code: RecoveryCode,
}

impl NewRecovery {
    /// Makes one. Where nothing else is said, it is a holder of its own.
    ///
    /// # Errors
    /// [`Error::Failed`] without random numbers.
    pub fn make(label: Option<String>, holder: Option<String>) -> Result<Self, Error> {
        let name = |given: Option<String>| given.unwrap_or_else(|| NAME.to_owned());
        let code = recovery::new().map_err(|_none| Error::Failed("the system gives no random numbers"))?;
        Ok(Self { label: name(label), holder: name(holder), code })
    }

    /// What is to be written down: four lines of groups.
    pub fn text(&self) -> Zeroizing<Vec<u8>> {
        recovery::text(&self.code)
    }

    /// What it is called.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Its keyslot.
    pub(super) fn slot(self, created: u64) -> Result<NewSlot, Error> {
        let derived = derive(&self.code, Wanted { unlock: true, guard: true });
        SlotName::new(&self.label, &self.holder)?.new_slot(RECOVERY, Vec::new(), derived, created)
    }
}

impl Service {
    /// Lets a recovery code open the vault, too. Nothing but the consent of those who can is needed.
    ///
    /// # Errors
    /// [`Error::Exists`] for a label that is taken; all that a guarded operation can go wrong with.
    pub async fn add_recovery(self: &Arc<Self>, new: NewRecovery, who: Who<'_>) -> Result<SlotId, Error> {
        self.refresh().await?;
        let (header, _) = self.keeper.glance(House::header).await?;
        vacant(&new.label, &labels(&header))?;
        let act = format!(
            "let the recovery code {} of {}{} open this vault, too: whoever has it needs no token",
            quoted(&new.label),
            new.holder,
            is_new(&new.holder, &header)
        );
        let label = new.label.clone();
        let request = Arc::new(AddSlot::new(act, label, new.slot(self.clock.now())?));
        let Done { yielded: (staged, id), purpose, token, saving, .. } = self.guarded(request, who).await?;
        self.record(who.caller, &purpose, Some(&token)).await?;
        self.save(staged, saving.ok_or(Error::Failed("no turn to save"))?).await?;
        Ok(id)
    }

    /// Asks for the code until it is one of this vault's, or whoever answers gives up.
    pub(super) async fn ask_code<'h>(
        &self,
        asker: &Asker<'_>,
        header: &'h Header,
        label: &str,
    ) -> Result<(&'h Keyslot, RecoveryCode), Error> {
        let found = self.ask_code_until(asker, header, label).await;
        asker.who.prompter.done().await.unwrap_or(());
        found
    }

    async fn ask_code_until<'h>(
        &self,
        asker: &Asker<'_>,
        header: &'h Header,
        label: &str,
    ) -> Result<(&'h Keyslot, RecoveryCode), Error> {
        let mut failed: Option<Error> = None;
        for _ in 0..TRIES {
            let deadline = self.clock.now().saturating_add(TYPING.as_secs());
            let mut ask = Ask { deadline, ..self.ask(asker, RECOVERY, label) };
            if let Some(why) = &failed {
                ask.label = format!("{label} ({why})");
            }
            let answer = asker.who.prompter.recovery_code(ask, failed.is_some());
            failed = Some(match tokio::time::timeout(TYPING, answer).await {
                Ok(Ok(Ok(code))) => match slot_of(header, &code) {
                    Ok(Some(slot)) => return Ok((slot, code)),
                    Ok(None) => Error::RecoveryWrong,
                    Err(error) => return Err(vault_error(&error, self.path())),
                },
                Ok(Ok(Err(misread))) => Error::RecoveryMisread(misread),
                Ok(Err(Refusal::Refused)) => return Err(failed.unwrap_or(Error::Cancelled)),
                Ok(Err(Refusal::NoSurface)) => return Err(Error::NoPrompt),
                Err(_elapsed) => return Err(Error::Unanswered),
            });
        }
        Err(failed.unwrap_or(Error::Cancelled))
    }
}

/// The keyslots that are recovery codes.
pub(super) fn codes(header: &Header) -> impl Iterator<Item = &Keyslot> {
    header.keyslots().iter().filter(|slot| is_code(slot))
}

/// Whether a keyslot is a recovery code.
pub(super) fn is_code(slot: &Keyslot) -> bool {
    slot.kind() == RECOVERY
}

/// What the code is called before it is known which it is; and whose it is.
pub(super) fn name(header: &Header) -> Result<(String, String), Error> {
    let mut codes = codes(header);
    match (codes.next(), codes.next()) {
        (None, _) => Err(Error::NoRecoveryCode),
        (Some(one), None) => Ok((named(one), one.holder().to_owned())),
        (Some(_), Some(_)) => Ok((NAME.to_owned(), format!("whoever has a {NAME}"))),
    }
}

/// What prompts and records call it.
pub(super) fn named(slot: &Keyslot) -> String {
    if slot.label() == NAME { NAME.to_owned() } else { format!("{} ({NAME})", slot.label()) }
}

fn slot_of<'h>(header: &'h Header, code: &RecoveryCode) -> Result<Option<&'h Keyslot>, VaultError> {
    let secret = derive(code, Wanted { unlock: true, guard: false }).unlock;
    let Some(secret) = secret else { return Ok(None) };
    for slot in codes(header) {
        match forgetting(|| slot.share(header, Lock::Unlock, &secret).map(drop)) {
            Ok(()) => return Ok(Some(slot)),
            Err(VaultError::WrongToken) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
