//! What the service writes into the audit log, and what it reads there.

use super::Service;
use super::caller::Caller;
use super::error::Error;
use super::house::{House, Vault};
use super::purpose::Purpose;
use super::removal::Opening;
use crate::audit::{Anchor, Entry, Filter, Known, Lost, Note, Outcome, REKEYED, Session, Verdict};
use crate::secret::UnlockKey;
use crate::vault::{LogAnchor, NewVault, Staged};
use std::sync::Arc;

/// How much of a text goes into a record: names are shorter, and nobody is to fill the disk with one request.
const LONGEST: usize = 1024;

impl Service {
    /// Records a secret's release before it happens: whoever calls this releases nothing when it fails.
    pub(super) async fn record(
        &self,
        caller: &Caller,
        purpose: &Purpose,
        token: Option<&str>,
    ) -> Result<(), Error> {
        self.autolock.used();
        self.disk.record(self.entry(caller, purpose, token, Outcome::Granted, None)).await
    }

    /// Records who shows the prompts of a user from now on.
    ///
    /// # Errors
    /// [`Error::AuditFailed`]: then it does not.
    pub async fn agent_registered(&self, caller: &Caller) -> Result<(), Error> {
        let purpose = Purpose::new("agent", format!("show the prompts of uid {}", caller.uid));
        // Not `record`: it uses nothing that is locked.
        self.disk.record(self.entry(caller, &purpose, None, Outcome::Granted, None)).await
    }

    /// Records that nothing was released. That this fails too takes nothing from the refusal.
    pub(super) async fn record_refusal(&self, caller: &Caller, purpose: &Purpose, error: &Error) {
        if matches!(error, Error::AuditFailed(_)) {
            return;
        }
        let outcome = if error.is_refusal() { Outcome::Refused } else { Outcome::Failed };
        let entry = self.entry(caller, purpose, None, outcome, Some(error.name().to_owned()));
        if self.disk.record(entry).await.is_err() {
            tracing::warn!("the audit log cannot be written");
        }
    }

    fn entry(
        &self,
        caller: &Caller,
        purpose: &Purpose,
        token: Option<&str>,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Entry {
        Entry {
            reason,
            says_it_is: caller.says_it_is.clone(),
            what: Some(short(&purpose.act)),
            why: caller.why.as_ref().map(|why| why.as_str().to_owned()),
            token: token.map(short),
            ..Entry::new(self.clock.now(), purpose.event, outcome, caller.uid, caller.pid)
        }
    }

    /// Records that the vault is opened, opens it, and holds the log against what the vault has sealed of it.
    pub(super) async fn open_vault(
        &self,
        caller: &Caller,
        purpose: &Purpose,
        token: &str,
        key: UnlockKey,
        opening: Opening,
    ) -> Result<(), Error> {
        let (key, session) =
            self.keeper.ask(|house| house.audit_session(&key).map(|new| (key, new))).await??;
        let entry = self.entry(caller, purpose, Some(token), Outcome::Granted, None);
        self.disk.record(Note { entry, opens: session.clone() }).await?;
        let sealed = self
            .keeper
            .run(move |house| {
                house.unlock(key, session, opening)?;
                Ok(house.unlocked()?.index().log())
            })
            .await?;
        self.journal("the vault is unlocked");
        if let Some(sealed) = sealed {
            self.look_for_losses(caller, place(sealed)).await;
        }
        self.changed();
        Ok(())
    }

    /// A log that does not hold what the vault has sealed keeps nobody from a secret that is needed in a hurry: it says
    /// so itself from then on.
    async fn look_for_losses(&self, caller: &Caller, sealed: Anchor) {
        let lost = match self.disk.lost_since(sealed).await {
            Ok(lost) => lost,
            Err(error) => {
                tracing::warn!(%error, "the audit log could not be held against what the vault has sealed");
                return;
            }
        };
        let Some(lost) = lost else { return };
        let Lost { from, seq, .. } = lost;
        tracing::error!(from, sealed = seq, "the audit log is not what the vault has sealed");
        let what = format!("the log is not what the vault has sealed up to record {seq}");
        let entry = Entry {
            what: Some(what),
            lost: Some(lost),
            ..Entry::new(self.clock.now(), "log-lost", Outcome::Failed, caller.uid, caller.pid)
        };
        if let Err(error) = self.disk.record(entry).await {
            tracing::warn!(%error, "the audit log does not say what it lost");
        }
    }

    /// Records the making of a vault, and seals into it how far the log goes.
    pub(super) async fn record_new_vault(
        &self,
        caller: &Caller,
        purpose: &Purpose,
        token: &str,
        vault: NewVault,
    ) -> Result<(NewVault, Arc<Session>), Error> {
        let header = vault.header();
        let session = Session::new(vault.audit_root(), header.vault_id().as_bytes(), header.epoch());
        let session = Arc::new(session);
        let entry = self.entry(caller, purpose, Some(token), Outcome::Granted, None);
        self.disk.record(Note { entry, opens: Some(Arc::clone(&session)) }).await?;
        let vault = match self.disk.board().place {
            Some(place) => vault.anchor(anchor(place)),
            None => Ok(vault),
        };
        Ok((vault.map_err(|error| super::vault_error(&error, &self.path))?, session))
    }

    /// Seals into a staged change how far the log goes. One that changes the vault's keys changes the log's, too: the
    /// session that begins with it is the other result.
    pub(super) async fn anchored(&self, staged: Staged) -> Result<(Staged, Option<Arc<Session>>), Error> {
        let session = staged.audit_root().map(|root| {
            let header = staged.header();
            Arc::new(Session::new(root, header.vault_id().as_bytes(), header.epoch()))
        });
        if let Some(session) = &session {
            let (uid, pid) = (rustix::process::geteuid().as_raw(), std::process::id());
            let entry = Entry {
                what: Some("the vault's keys are made anew".to_owned()),
                ..Entry::new(self.clock.now(), REKEYED, Outcome::Granted, uid, pid)
            };
            self.disk.record(Note { entry, opens: Some(Arc::clone(session)) }).await?;
        }
        let Some(place) = self.disk.board().place.filter(|place| place.seq > 0) else {
            return Ok((staged, session));
        };
        let path = self.path.clone();
        let staged = self.keeper.run(move |house| {
            let anchored = match &house.vault {
                // New keys come with it, also those of a copy that takes the vault's place.
                _ if staged.rekeyed() => staged.anchor_alone(anchor(place)),
                Vault::Unlocked(vault) => vault.anchor(staged, anchor(place)),
                // Locked meanwhile: the change was made before, and is saved all the same.
                Vault::Absent | Vault::Damaged(_) | Vault::Locked(_) => staged.anchor_alone(anchor(place)),
            };
            anchored.map_err(|error| super::vault_error(&error, &path))
        });
        Ok((staged.await?, session))
    }

    /// The keys did not change after all: the log goes on with those that are in force.
    pub(super) async fn resume_session(&self) {
        let session = self.keeper.ask(|house| house.audit.clone()).await;
        if let Ok(Some(session)) = session {
            let _opened_anew_at_the_next_unlock = self.disk.resume(session).await;
        }
    }

    /// Says in the journal how far the log goes: what is cut off later shows there.
    pub(super) fn journal(&self, when: &'static str) {
        if let Some(place) = self.disk.board().place {
            tracing::info!(seq = place.seq, head = place.hex(), "{when}: the audit log's last record");
        }
    }

    /// Writes what is held of refusals in a row; at the end of the daemon.
    pub async fn settle_audit_log(&self) {
        let _nobody_left_to_tell = self.disk.tell_all().await;
    }

    /// What a user should know about the log, in sentences.
    pub fn audit_warnings(&self) -> Vec<String> {
        let board = self.disk.board();
        let lost = board.lost.map(|lost| {
            format!(
                "the audit log is not what the vault has sealed, from record {} on: see `rootseal audit verify`",
                lost.from
            )
        });
        let reserve = (!board.reserve).then(|| {
            "the disk has no room for the reserve, which lets a few more requests be recorded: make room"
                .to_owned()
        });
        [board.trouble, lost, reserve].into_iter().flatten().collect()
    }

    /// Reads the log's lines, from the oldest on: to be called where waiting for the disk holds nobody up.
    ///
    /// # Errors
    /// [`Error::AuditFailed`]; so do the calls.
    pub async fn audit_lines(
        &self,
        filter: Filter,
    ) -> Result<impl FnOnce(&mut dyn std::io::Write) -> Result<(), Error> + Send + 'static, Error> {
        let _those_that_could_not_be_written_are_not_shown = self.disk.tell_all().await;
        let snapshot = self.disk.snapshot().await?;
        Ok(move |out: &mut dyn std::io::Write| {
            let written = snapshot.select(&filter, |line| {
                out.write_all(line)?;
                out.write_all(b"\n")
            });
            written.map_err(Error::AuditFailed)
        })
    }

    /// Verifies the whole log, as far as the vault is open for it.
    ///
    /// # Errors
    /// [`Error::AuditFailed`] where it cannot be read.
    pub async fn verify_audit_log(&self) -> Result<Verdict, Error> {
        let _what_is_held_is_not_in_it = self.disk.tell_all().await;
        // Before the log is looked at, which only grows: what is sealed of it must be there.
        let known = self.keeper.glance(|house| Ok(house.known_of_log())).await?;
        let snapshot = self.disk.snapshot().await?;
        let verified = tokio::task::spawn_blocking(move || snapshot.verify(&known)).await;
        Ok(verified.map_err(|_panicked| Error::Failed("verifying was interrupted"))??)
    }
}

impl House {
    /// A session for the vault that `key` is about to open; none where it is open already.
    fn audit_session(&self, key: &UnlockKey) -> Result<Option<Arc<Session>>, Error> {
        let Vault::Locked(vault) = &self.vault else { return self.unlocked().map(|_open| None) };
        let header = vault.header();
        Ok(Some(Arc::new(Session::new(vault.audit_root(key), header.vault_id().as_bytes(), header.epoch()))))
    }

    fn known_of_log(&self) -> Known {
        Known {
            session: self.audit.as_ref().map(Arc::downgrade).unwrap_or_default(),
            sealed: self.unlocked().ok().and_then(|vault| vault.index().log()).map(place),
        }
    }
}

const fn place(sealed: LogAnchor) -> Anchor {
    Anchor { seq: sealed.seq, head: sealed.head }
}

const fn anchor(place: Anchor) -> LogAnchor {
    LogAnchor { seq: place.seq, head: place.head }
}

/// The beginning of a text that is too long.
fn short(text: &str) -> String {
    match text.char_indices().find(|(at, _)| *at >= LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_makes_a_record_long() {
        assert_eq!(short("a"), "a");
        assert_eq!(short(&"é".repeat(1 << 20)), format!("{}…", "é".repeat(512)));
    }
}
