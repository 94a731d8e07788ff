//! A service with a vault, and what comes at the very moment at which that is locked.

use super::clock::SystemClock;
use super::house::House;
use super::removal::Opening;
use super::*;
use crate::audit::Session;
use crate::secret::{TokenSecret, UnlockKey};
use crate::store::FileStore;
use crate::vault::{NewSlot, NewVault, Thresholds};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Its folder goes with it.
pub(super) struct Fixture {
    pub(super) service: Arc<Service>,
    folder: PathBuf,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Fixture {
    pub(super) async fn start(lock_after: LockAfter) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rootseal-service-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let store = Box::new(FileStore::open(&folder).unwrap());
        let log = LogPlace { path: folder.join("audit.log"), rotate: u64::MAX };
        let settings = Settings { lock_after, ..Settings::default() };
        let path = folder.join("vault.rseal");
        let service = Service::start(store, path, log, settings, Box::new(SystemClock)).await.unwrap();
        Self { service, folder }
    }

    pub(super) fn opening(&self) -> Opening {
        self.service.opening()
    }

    /// A new vault, as one that is made; it is not saved.
    pub(super) async fn make(&self, opening: Opening) {
        let secret = |byte| TokenSecret::copy_from(&[byte; 32]);
        let slot = NewSlot {
            holder: "alice".to_owned(),
            label: "key".to_owned(),
            kind: "fido2".to_owned(),
            created: 1_700_000_000,
            binding: vec![0xa0],
            unlock: secret(1),
            guard: Some(secret(2)),
        };
        let vault = NewVault::create(vec![slot], Thresholds::ONE).unwrap();
        let session = Arc::new(Session::new(vault.audit_root(), &[0; 16], 1));
        let open = move |house: &mut House| house.open_new(vault.into_unlocked(), session, opening);
        self.service.keeper.ask(open).await.unwrap();
    }

    pub(super) async fn is_open(&self) -> bool {
        self.service.keeper.glance(|house| Ok(house.unlocked().is_ok())).await.unwrap()
    }
}

#[tokio::test]
async fn a_vault_that_was_locked_while_it_was_being_opened_is_not_opened() {
    let rooms = Fixture::start(LockAfter::default()).await;
    let (before, after) = (rooms.opening(), rooms.opening());
    rooms.service.lock().await.unwrap();
    rooms.make(before).await;
    assert!(!rooms.is_open().await, "a new one");
    let any = UnlockKey::copy_from(&[3; 32]);
    let unlocked = rooms.service.keeper.run(move |house| house.unlock(any, None, after)).await;
    assert!(matches!(unlocked, Err(Error::Cancelled)), "{unlocked:?}");
    rooms.make(rooms.opening()).await;
    assert!(rooms.is_open().await, "one that began later");
}
