//! A directory of one's own: `vault.rseal`, the previous `vault.rseal.1`, `state.cbor` and `lock`.
//!
//! A file that is there is never opened for writing: each save writes a new one beside it and renames it
//! into place (`rename(2)` is atomic), so that a crash at any point leaves either the old or the new.

use super::{Keep, Store, StoreError};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr as retry};
use std::fs::{DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

const VAULT: &str = "vault.rseal";
const VAULT_NEW: &str = "vault.rseal.new";
const PREVIOUS: &str = "vault.rseal.1";
const PREVIOUS_NEW: &str = "vault.rseal.1.new";
const STATE: &str = "state.cbor";
const STATE_NEW: &str = "state.cbor.new";
const LOCK: &str = "lock";

const LARGEST_VAULT: u64 = 1 << 30;
const LARGEST_STATE: u64 = 1 << 26;

/// A [`Store`] in a directory that it has to itself while it lives.
pub struct FileStore {
    directory: OwnedFd,
    path: PathBuf,
    /// The vault that was loaded or saved last; `None` while there was none.
    last: Option<Identity>,
    /// Held for its `flock(2)`.
    _lock: OwnedFd,
}

/// Tells one file from another that took its name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
}

impl FileStore {
    /// Opens the directory, making it where it is not there, and removes what a crash left behind.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotPrivate`], [`StoreError::Io`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| StoreError::Io { action: "make the data directory", source })?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle =
            rustix::fs::open(directory, flags, Mode::empty()).map_err(io("open the data directory"))?;
        let stat = retry(|| rustix::fs::fstat(&handle)).map_err(io("examine the data directory"))?;
        let others = Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH);
        if others || stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(StoreError::NotPrivate);
        }
        let lock = lock(&handle)?;
        let store = Self { directory: handle, path: directory.join(VAULT), last: None, _lock: lock };
        // Only now: while another process holds the lock, these are not orphans but its work.
        for orphan in [VAULT_NEW, PREVIOUS_NEW, STATE_NEW] {
            store.remove(orphan)?;
        }
        Ok(store)
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<(Vec<u8>, Identity)>, StoreError> {
        // NONBLOCK: opening a FIFO that somebody put there must not hang.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match retry(|| rustix::fs::openat(&self.directory, name, flags, Mode::empty())) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(StoreError::NotAFile),
            Err(error) => return Err(io("open a file")(error)),
        };
        let stat = retry(|| rustix::fs::fstat(&file)).map_err(io("examine a file"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StoreError::NotAFile);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if size > limit {
            return Err(StoreError::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let read = (&mut file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| StoreError::Io { action: "read a file", source })?;
        if bytes.len() as u64 > limit {
            return Err(StoreError::TooLarge);
        }
        Ok(Some((bytes, Identity::of(&stat))))
    }

    /// Writes `bytes` to a file that is new, and to the disk.
    fn write(&self, name: &'static str, bytes: &[u8]) -> Result<(New<'_>, Identity), StoreError> {
        self.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = retry(|| rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR));
        let mut file = File::from(file.map_err(io("make a file"))?);
        let new = New { store: self, name };
        // Both go on after an interrupted or a short write.
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|source| StoreError::Io { action: "write a file", source })?;
        let stat = retry(|| rustix::fs::fstat(&file)).map_err(io("examine a file"))?;
        Ok((new, Identity::of(&stat)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        retry(|| rustix::fs::renameat(&self.directory, from, &self.directory, to))
            .map_err(io("rename a file"))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match retry(|| rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(io("remove a file")(error)),
        }
    }

    fn sync_directory(&self) -> Result<(), StoreError> {
        retry(|| rustix::fs::fsync(&self.directory)).map_err(|error| StoreError::InDoubt(error.into()))
    }

    /// The vault that is there now.
    fn current(&self) -> Result<Option<Identity>, StoreError> {
        match retry(|| rustix::fs::statat(&self.directory, VAULT, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(Identity::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(io("examine the vault file")(error)),
        }
    }

    /// Gives the vault that is there a second name, in place of an older previous one.
    fn keep_previous(&self) -> Result<(), StoreError> {
        self.remove(PREVIOUS_NEW)?;
        let here = &self.directory;
        retry(|| rustix::fs::linkat(here, VAULT, here, PREVIOUS_NEW, AtFlags::empty()))
            .map_err(io("keep the previous vault file"))?;
        let second = New { store: self, name: PREVIOUS_NEW };
        self.rename(PREVIOUS_NEW, PREVIOUS)?;
        // Where both names are links to one file already, after a crash, rename(2) does nothing: the drop
        // of `second` then removes the one too many.
        drop(second);
        Ok(())
    }
}

impl Store for FileStore {
    fn path(&self) -> &Path {
        &self.path
    }

    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read(VAULT, LARGEST_VAULT)?;
        self.last = found.as_ref().map(|(_, identity)| *identity);
        Ok(found.map(|(bytes, _)| bytes))
    }

    fn peek(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read(VAULT, LARGEST_VAULT)?.map(|(bytes, _)| bytes))
    }

    fn save(&mut self, bytes: &[u8], keep: Keep) -> Result<(), StoreError> {
        let (new, identity) = self.write(VAULT_NEW, bytes)?;
        let current = self.current()?;
        if current != self.last {
            return Err(StoreError::Changed);
        }
        match keep {
            Keep::Previous if current.is_some() => self.keep_previous()?,
            Keep::Previous | Keep::Earlier => {}
            // Before the rename: should it fail, the vault that is there is still the one that counts.
            Keep::Nothing => self.remove(PREVIOUS)?,
        }
        self.rename(VAULT_NEW, VAULT)?;
        new.keep();
        self.sync_directory()?;
        // Not set where the sync fails: the next save then asks for a load.
        self.last = Some(identity);
        Ok(())
    }

    fn load_state(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read(STATE, LARGEST_STATE)?.map(|(bytes, _)| bytes))
    }

    fn save_state(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (new, _) = self.write(STATE_NEW, bytes)?;
        self.rename(STATE_NEW, STATE)?;
        new.keep();
        self.sync_directory()
    }
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
        }
    }
}

/// A file that goes when this does, unless it is kept.
struct New<'s> {
    store: &'s FileStore,
    name: &'static str,
}

impl New<'_> {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for New<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next save or open.
        let _later = self.store.remove(self.name);
    }
}

fn lock(directory: &OwnedFd) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io("open the lock file"))?;
    let locked = retry(|| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive));
    match locked {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(StoreError::InUse),
        Err(error) => Err(io("lock the data directory")(error)),
    }
}

fn io(action: &'static str) -> impl Fn(Errno) -> StoreError {
    move |error| StoreError::Io { action, source: error.into() }
}
