//! The file store on a real directory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rootseal::store::{FileStore, Keep, Store, StoreError};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rootseal-store-{name}-{}", std::process::id()));
        let _fresh = fs::remove_dir_all(&path);
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn saves_keep_the_previous_generation_and_nothing_else() {
    let scratch = Scratch::new("generations");
    let mut store = FileStore::open(&scratch.0.join("a/b")).unwrap();
    let inner = Scratch(scratch.0.join("a/b"));
    assert_eq!(mode(&inner.0), 0o700);
    assert!(store.load().unwrap().is_none());
    store.save(b"one", Keep::Previous).unwrap();
    assert_eq!(inner.names(), ["lock", "vault.rseal"]);
    store.save(b"two", Keep::Previous).unwrap();
    store.save(b"three", Keep::Previous).unwrap();
    assert_eq!(inner.names(), ["lock", "vault.rseal", "vault.rseal.1"]);
    assert_eq!(fs::read(inner.0.join("vault.rseal.1")).unwrap(), b"two");
    assert_eq!(mode(&inner.0.join("vault.rseal")), 0o600);
    assert_eq!(store.path(), inner.0.join("vault.rseal"));
    store.save(b"four", Keep::Nothing).unwrap();
    assert_eq!(inner.names(), ["lock", "vault.rseal"]);
    assert_eq!(store.load().unwrap().unwrap(), b"four");
    assert!(store.load_state().unwrap().is_none());
    store.save_state(b"seen").unwrap();
    store.save_state(b"seen again").unwrap();
    assert_eq!(store.load_state().unwrap().unwrap(), b"seen again");
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let scratch = Scratch::new("lock");
    let first = FileStore::open(&scratch.0).unwrap();
    assert!(matches!(FileStore::open(&scratch.0), Err(StoreError::InUse)));
    drop(first);
    FileStore::open(&scratch.0).unwrap();
}

#[test]
fn a_vault_that_somebody_else_wrote_is_not_overwritten() {
    let scratch = Scratch::new("changed");
    let mut store = FileStore::open(&scratch.0).unwrap();
    let vault = scratch.0.join("vault.rseal");
    fs::write(&vault, b"appeared").unwrap();
    assert!(matches!(store.save(b"mine", Keep::Previous), Err(StoreError::Changed)));
    assert_eq!(store.load().unwrap().unwrap(), b"appeared");
    store.save(b"mine", Keep::Previous).unwrap();
    fs::write(scratch.0.join("other"), b"mine").unwrap();
    fs::rename(scratch.0.join("other"), &vault).unwrap();
    assert!(matches!(store.save(b"again", Keep::Previous), Err(StoreError::Changed)));
    fs::remove_file(&vault).unwrap();
    assert!(matches!(store.save(b"again", Keep::Nothing), Err(StoreError::Changed)));
    assert_eq!(scratch.names(), ["lock", "vault.rseal.1"]);
}

#[test]
fn orphans_of_a_crash_go_at_the_next_open() {
    let scratch = Scratch::new("orphans");
    drop(FileStore::open(&scratch.0).unwrap());
    for orphan in ["vault.rseal.new", "vault.rseal.1.new", "state.cbor.new"] {
        fs::write(scratch.0.join(orphan), b"half").unwrap();
    }
    drop(FileStore::open(&scratch.0).unwrap());
    assert_eq!(scratch.names(), ["lock"]);
}

#[test]
fn a_crash_between_link_and_rename_leaves_no_third_name() {
    let scratch = Scratch::new("link");
    let mut store = FileStore::open(&scratch.0).unwrap();
    store.save(b"one", Keep::Previous).unwrap();
    fs::hard_link(scratch.0.join("vault.rseal"), scratch.0.join("vault.rseal.1")).unwrap();
    store.save(b"two", Keep::Previous).unwrap();
    assert_eq!(scratch.names(), ["lock", "vault.rseal", "vault.rseal.1"]);
    assert_eq!(fs::read(scratch.0.join("vault.rseal.1")).unwrap(), b"one");
}

#[test]
fn links_pipes_and_giants_are_not_read() {
    let scratch = Scratch::new("kinds");
    let mut store = FileStore::open(&scratch.0).unwrap();
    let vault = scratch.0.join("vault.rseal");
    symlink("/etc/hostname", &vault).unwrap();
    assert!(matches!(store.load(), Err(StoreError::NotAFile)));
    fs::remove_file(&vault).unwrap();
    fs::create_dir(&vault).unwrap();
    assert!(matches!(store.load(), Err(StoreError::NotAFile)));
    fs::remove_dir(&vault).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &vault, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    assert!(matches!(store.load(), Err(StoreError::NotAFile)));
    fs::remove_file(&vault).unwrap();
    fs::File::create(&vault).unwrap().set_len((1 << 30) + 1).unwrap();
    assert!(matches!(store.load(), Err(StoreError::TooLarge)));
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let scratch = Scratch::new("private");
    drop(FileStore::open(&scratch.0).unwrap());
    for open_mode in [0o770, 0o702] {
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(open_mode)).unwrap();
        assert!(matches!(FileStore::open(&scratch.0), Err(StoreError::NotPrivate)));
    }
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&scratch.0, Some(65_534), None).unwrap();
        assert!(matches!(FileStore::open(&scratch.0), Err(StoreError::NotPrivate)));
    }
}
