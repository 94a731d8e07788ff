//! Everything that is open or shut with the vault: owned by the keeper's task alone.

use super::autolock::Autolock;
use super::drill::Begun;
use super::error::Error;
use super::machine::Machine;
use super::problem::Problem;
use super::removal::Opening;
use super::sessions::Sessions;
use crate::audit::Session;
use crate::secret::UnlockKey;
use crate::vault::{Header, LockedVault, Policy, SealedVault, Staged, UnlockedVault, VaultError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The vault's state, as the API names it.
pub(super) enum Vault {
    Absent,
    Damaged(Problem),
    Locked(LockedVault),
    Unlocked(Box<UnlockedVault>),
}

pub(super) struct House {
    pub(super) vault: Vault,
    pub(super) sessions: Sessions,
    pub(super) machine: Machine,
    /// The keys of the audit log, for as long as the vault is open. Nobody else keeps them.
    pub(super) audit: Option<Arc<Session>>,
    /// What the drill that is going on has proved.
    pub(super) drill: Option<Begun>,
    autolock: Arc<Autolock>,
    path: PathBuf,
    /// Set when the machine's own memory cannot be read: without it a rollback would go unseen.
    distrust: Option<Problem>,
}

impl House {
    pub(super) fn new(path: PathBuf, machine: Machine, autolock: Arc<Autolock>) -> Self {
        Self {
            vault: Vault::Absent,
            sessions: Sessions::default(),
            machine,
            audit: None,
            drill: None,
            autolock,
            path,
            distrust: None,
        }
    }

    /// The vault's file, for what is said about it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses every vault, because `file` beside it is damaged.
    pub(super) fn distrust(&mut self, file: &Path) {
        self.distrust = Some(Problem::of_file(file));
    }

    /// Takes what is on the disk, unless the vault is open.
    pub(super) fn reload(&mut self, bytes: Option<Vec<u8>>) {
        if matches!(self.vault, Vault::Unlocked(_)) {
            return;
        }
        if let Some(problem) = &self.distrust {
            self.vault = Vault::Damaged(problem.clone());
            return;
        }
        self.vault = match bytes.map(|bytes| self.read(bytes)) {
            None if self.machine.seen.is_some() => Vault::Damaged(Problem::gone(&self.path)),
            None => Vault::Absent,
            Some(Ok(vault)) => Vault::Locked(vault),
            Some(Err(error)) => Vault::Damaged(Problem::new(&error, &self.path)),
        };
    }

    /// What is in the vault's place cannot be read at all.
    pub(super) fn refuse(&mut self, error: &Error) {
        if !matches!(self.vault, Vault::Unlocked(_)) {
            self.vault = Vault::Damaged(Problem::unreadable(error));
        }
    }

    fn read(&self, bytes: Vec<u8>) -> Result<LockedVault, VaultError> {
        SealedVault::parse(bytes)?.check(self.machine.seen.as_ref())
    }

    /// A vault that was just made.
    pub(super) fn open_new(&mut self, vault: UnlockedVault, audit: Arc<Session>, opening: Opening) {
        self.machine = Machine { seen: Some(vault.seen()), ..Machine::default() };
        self.vault = Vault::Unlocked(Box::new(vault));
        self.audit = Some(audit);
        let is_off = opening.is_off();
        self.autolock.opened(opening.by);
        if is_off {
            self.lock();
        }
    }

    /// Why no vault is believed here at all, if so.
    pub(super) fn trusted(&self) -> Result<(), Error> {
        self.distrust.as_ref().map_or(Ok(()), |problem| Err(problem.error()))
    }

    /// The open vault.
    pub(super) fn unlocked(&self) -> Result<&UnlockedVault, Error> {
        match &self.vault {
            Vault::Unlocked(vault) => Ok(vault),
            Vault::Locked(_) => Err(Error::Locked),
            Vault::Absent => Err(Error::NoVault),
            Vault::Damaged(problem) => Err(problem.error()),
        }
    }

    pub(super) fn unlocked_mut(&mut self) -> Result<&mut UnlockedVault, Error> {
        match &mut self.vault {
            Vault::Unlocked(vault) => Ok(vault),
            Vault::Locked(_) => Err(Error::Locked),
            Vault::Absent => Err(Error::NoVault),
            Vault::Damaged(problem) => Err(problem.error()),
        }
    }

    /// The header, locked or not, and whether it is open.
    pub(super) fn header(&self) -> Result<(Header, bool), Error> {
        match &self.vault {
            Vault::Unlocked(vault) => Ok((vault.header().clone(), true)),
            Vault::Locked(vault) => Ok((vault.header().clone(), false)),
            Vault::Absent => Err(Error::NoVault),
            Vault::Damaged(problem) => Err(problem.error()),
        }
    }

    /// The vault's policy, locked or not, of a vault that can be read.
    pub(super) fn policy(&self) -> Option<&Policy> {
        match &self.vault {
            Vault::Unlocked(vault) => Some(vault.header().policy()),
            Vault::Locked(vault) => Some(vault.header().policy()),
            Vault::Absent | Vault::Damaged(_) => None,
        }
    }

    /// Opens the index. What does not fit the key is damage, and stays so until the file is put right.
    pub(super) fn unlock(
        &mut self,
        key: UnlockKey,
        audit: Option<Arc<Session>>,
        opening: Opening,
    ) -> Result<(), Error> {
        if opening.is_off() {
            return Err(Error::Cancelled);
        }
        match std::mem::replace(&mut self.vault, Vault::Absent) {
            Vault::Locked(vault) => match vault.unlock(key) {
                Ok(vault) => {
                    self.machine.seen = Some(vault.seen());
                    self.vault = Vault::Unlocked(Box::new(vault));
                    self.audit = audit;
                    self.autolock.opened(opening.by);
                    Ok(())
                }
                Err((_vault, error)) => {
                    let problem = Problem::new(&error, &self.path);
                    let error = problem.error();
                    self.vault = Vault::Damaged(problem);
                    Err(error)
                }
            },
            other @ (Vault::Absent | Vault::Damaged(_) | Vault::Unlocked(_)) => {
                self.vault = other;
                self.unlocked().map(|_open| ())
            }
        }
    }

    /// Wipes keys, items and sessions. Whether anything was open.
    pub(super) fn lock(&mut self) -> bool {
        self.sessions.clear();
        self.audit = None;
        match std::mem::replace(&mut self.vault, Vault::Absent) {
            Vault::Unlocked(vault) => {
                self.vault = Vault::Locked(vault.lock());
                self.autolock.locked();
                true
            }
            other @ (Vault::Absent | Vault::Damaged(_) | Vault::Locked(_)) => {
                self.vault = other;
                false
            }
        }
    }

    /// Takes over a change that is on the disk now. A vault that was locked meanwhile stays locked.
    /// `audit`: where it changes the keys, the log's.
    pub(super) fn accept(&mut self, staged: Staged, audit: Option<Arc<Session>>) -> Result<(), Error> {
        self.machine.seen = Some(staged.seen());
        match &mut self.vault {
            Vault::Unlocked(vault) => {
                vault
                    .accept(staged)
                    .map_err(|_outdated| Error::Failed("the vault changed in the meantime"))?;
                if audit.is_some() {
                    self.audit = audit;
                }
                Ok(())
            }
            Vault::Absent | Vault::Damaged(_) | Vault::Locked(_) => {
                let bytes = staged.bytes().to_vec();
                drop(staged);
                self.reload(Some(bytes));
                Ok(())
            }
        }
    }
}
