//! The use cases. Each reads as one pipeline: plan, say why, open the locks, act, record, release. What they
//! work on is owned by the keeper; what they write goes through the writer; what they ask people goes through a
//! prompter. No bus, no file format and no protocol of a token enters this room.

mod accounts;
mod alarm;
mod asking;
mod audit;
mod autolock;
mod backup;
pub mod caller;
pub mod clock;
mod codes;
mod consents;
mod credentials;
mod disk;
mod drill;
mod enrol;
mod error;
mod guarded;
mod health;
mod house;
mod items;
mod keeper;
mod keyslots;
mod locks;
mod machine;
mod oath;
mod occasions;
mod policy;
mod problem;
mod purpose;
mod recovery;
mod removal;
mod seeds;
mod sessions;
mod status;
mod vaults;
mod who;
mod wrong_pins;

pub use crate::audit::{Filter as AuditFilter, Outcome as AuditOutcome, Verdict as AuditVerdict};
pub use crate::token::Roots;
pub use crate::vault::{AccountRef, Act, Hours, Policy, SlotId};
pub use accounts::{AccountInfo, MfaDevice, NewAccount, NewProfile, ProfileInfo};
pub use autolock::LockAfter;
pub use codes::CodeRequest;
pub use credentials::{Answer, CredentialRequest, GiveUp, Operation};
pub use drill::{Drill, Proof};
pub use enrol::new_key;
pub use error::{Error, Hints, Tries, in_full};
pub use health::{Finding, Health};
pub use items::{NewTotp, SeedForm, TotpAdded};
pub use keyslots::{Checked, NewKeyslot, SlotChange};
pub use oath::{OathChange, OathEntry, OnTokens, RemoveTotp};
pub use occasions::{Counted, LockWhen, Occasion, Whose};
pub use policy::PolicyChange;
pub use recovery::NewRecovery;
pub use status::{KeyslotInfo, TokenInfo, TokenProblem, VaultInfo, VaultState};
pub use vaults::NewVaultOptions;
pub use who::Who;

use crate::store::{Keep, Store, StoreError};
use crate::token::registry::{Look, Registry};
use autolock::Autolock;
use clock::{Clock, Watch};
use credentials::Pending;
use disk::Disk;
pub use disk::LogPlace;
use house::House;
use keeper::Keeper;
use machine::Machine;
use problem::vault_error;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use wrong_pins::WrongPins;

/// What the configuration says to the use cases.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Sockets of virtual tokens.
    pub hid_sockets: Vec<PathBuf>,
    /// Whether to look for smart cards.
    pub pcsc: bool,
    /// Whom to believe that a token is what it says it is.
    pub attestation_roots: Arc<Roots>,
    /// STS endpoints besides AWS's own.
    pub allowed_endpoints: Vec<String>,
    /// The machine's own rules, beside those of the vault.
    pub policy: Policy,
    /// How often a drill is due.
    pub drill_every: Option<Duration>,
    /// When the vault locks by itself.
    pub lock_after: LockAfter,
    /// For what else it does.
    pub lock_when: LockWhen,
}

/// All use cases of one daemon.
#[derive(Debug)]
pub struct Service {
    keeper: Keeper,
    disk: Disk,
    tokens: Mutex<Registry>,
    /// Which keyslot each connected token was, by the token's id, when it was last asked.
    enrolled: Mutex<HashMap<String, SlotId>>,
    wrong_pins: WrongPins,
    clock: Arc<Watch>,
    autolock: Arc<Autolock>,
    /// Counts how often somebody wanted the vault locked.
    locks: watch::Sender<u64>,
    /// Whether the machine is about to sleep, or does.
    asleep: AtomicBool,
    settings: Settings,
    path: PathBuf,
    /// Whoever holds it prompts: people see one question at a time.
    turn: tokio::sync::Mutex<()>,
    /// Whoever holds it changes the vault: from staging to accepting, nothing else is staged.
    saving: Arc<tokio::sync::Mutex<()>>,
    pending: Pending,
    changes: watch::Sender<u64>,
    /// Counts what came and went at the places of tokens, since somebody has wanted to know.
    arrivals: OnceLock<watch::Sender<u64>>,
}

impl Service {
    /// Opens what the store holds. Must be called within the runtime.
    ///
    /// # Errors
    /// The store cannot be read at all. A damaged vault is no error here: it is a state.
    pub async fn start(
        store: Box<dyn Store>,
        path: PathBuf,
        audit_log: LogPlace,
        settings: Settings,
        clock: Box<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let disk = Disk::start(store, audit_log)?;
        let machine = match disk.load_state().await {
            Ok(state) => state.as_deref().map_or_else(|| Some(Machine::default()), Machine::decode),
            Err(_unreadable) => None,
        };
        let state_problem = machine.is_none();
        let autolock = Arc::new(Autolock::new(settings.lock_after));
        let mut house = House::new(path.clone(), machine.unwrap_or_default(), Arc::clone(&autolock));
        if state_problem {
            house.distrust(&path.with_file_name("state.cbor"));
        }
        match disk.load_vault().await {
            Ok(bytes) => house.reload(bytes),
            Err(error) => house.refuse(&error),
        }
        Ok(Arc::new(Self {
            keeper: Keeper::start(house),
            disk,
            tokens: Mutex::new(Registry::new(settings.hid_sockets.clone(), settings.pcsc)),
            enrolled: Mutex::default(),
            wrong_pins: WrongPins::default(),
            clock: Arc::new(Watch::new(clock)),
            autolock,
            locks: watch::Sender::new(0),
            asleep: AtomicBool::new(false),
            settings,
            path,
            turn: tokio::sync::Mutex::new(()),
            saving: Arc::default(),
            pending: Pending::default(),
            changes: watch::Sender::new(0),
            arrivals: OnceLock::new(),
        }))
    }

    /// Opens the audit log, before somebody has to wait for it: a long one takes its time to verify.
    pub fn open_audit_log(&self) {
        self.disk.open_log();
    }

    /// Told of every change that a client could see.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Told whenever a token may have come or gone. Begins to watch for it: within the runtime, and until it ends.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        let begin = || {
            let told = watch::Sender::new(0);
            let tell = told.clone();
            if let Ok(tokens) = self.tokens.lock() {
                tokio::spawn(tokens.arrivals().follow(move || tell.send_modify(count)));
            }
            told
        };
        self.arrivals.get_or_init(begin).subscribe()
    }

    /// The vault's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn changed(&self) {
        self.changes.send_modify(count);
    }

    async fn look_for_tokens(&self) -> Result<Look, Error> {
        let lost = "the list of tokens is lost";
        let readers = self.tokens.lock().map_err(|_poisoned| Error::Failed(lost))?.readers();
        let readers = readers.await;
        Ok(self.tokens.lock().map_err(|_poisoned| Error::Failed(lost))?.look(readers))
    }

    /// Reads the file again, unless the vault is open: it may have been restored, or put right.
    async fn refresh(&self) -> Result<(), Error> {
        if self.keeper.glance(|house| Ok(house.unlocked().is_ok())).await? {
            return Ok(());
        }
        // Not while something is saved: what was read before would look older than what is there after.
        let _quiet = self.saving.lock().await;
        let bytes = self.disk.load_vault().await;
        self.keeper
            .ask(move |house| match bytes {
                Ok(bytes) => house.reload(bytes),
                Err(error) => house.refuse(&error),
            })
            .await
    }

    /// Brings a staged change to the disk and then into effect, whether or not whoever asked for it is still
    /// there. `turn` is the permission to change the vault, taken before staging.
    async fn save(
        self: &Arc<Self>,
        staged: crate::vault::Staged,
        turn: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<(), Error> {
        let service = Arc::clone(self);
        let saved = tokio::spawn(async move {
            let (staged, session) = match service.anchored(staged).await {
                Ok(anchored) => anchored,
                Err(error) => {
                    service.resume_session().await;
                    return Err(error);
                }
            };
            let keep = if staged.rekeyed() { Keep::Nothing } else { Keep::Previous };
            if let Err(error) = service.disk.save_vault(staged.bytes().to_vec(), keep).await {
                if session.is_some() {
                    service.resume_session().await;
                }
                service.lock_where_in_doubt(&error).await?;
                return Err(error);
            }
            service.keeper.run(move |house| house.accept(staged, session)).await?;
            service.journal("the vault is saved");
            service.remember_or_warn().await;
            drop(turn);
            service.changed();
            Ok(())
        });
        saved.await.map_err(|_panicked| Error::Failed("saving was interrupted"))?
    }

    /// After a save that failed: where what is open may not be what is on the disk, only a new unlock can tell.
    async fn lock_where_in_doubt(&self, error: &Error) -> Result<(), Error> {
        if matches!(error, Error::Store(_, StoreError::InDoubt(_) | StoreError::Changed)) {
            self.lock().await?;
        }
        Ok(())
    }

    /// After a save: what it changed is on the disk, and the next save remembers it.
    async fn remember_or_warn(&self) {
        if let Err(error) = self.remember().await {
            tracing::warn!(%error, "the state of the vault was not written down");
        }
    }

    /// Writes down what this machine has seen.
    async fn remember(&self) -> Result<(), Error> {
        let state = self.keeper.run(|house| house.machine.encode()).await?;
        self.disk.save_state(state).await
    }
}

fn count(number: &mut u64) {
    *number = number.wrapping_add(1);
}

#[cfg(test)]
mod tests;
