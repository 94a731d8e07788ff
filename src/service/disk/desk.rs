//! What the writer's thread has before it.

use super::{Board, LogPlace};
use crate::audit::{AuditError, Log, Note, Refusals, Snapshot};
use crate::service::error::Error;
use crate::store::{Reserve, Store, StoreError, is_full};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

pub(super) struct Desk {
    pub(super) store: Box<dyn Store>,
    /// Not there until it is opened, which verifies it from its first line.
    audit: Option<Log>,
    place: LogPlace,
    reserve: Option<Reserve>,
    trouble: Option<String>,
    board: Arc<Mutex<Board>>,
}

/// How records ended that were to be written together.
pub(super) struct Written {
    /// Those that something waits for.
    pub(super) granted: Result<(), AuditError>,
    /// Those that can be told later.
    pub(super) refused: Result<(), AuditError>,
}

impl Desk {
    pub(super) fn new(store: Box<dyn Store>, place: LogPlace, board: Arc<Mutex<Board>>) -> Self {
        Self { store, audit: None, place, reserve: None, trouble: None, board }
    }

    /// The log. One that could not be opened is tried again: the custodian may have put it right since.
    pub(super) fn log(&mut self) -> Result<&mut Log, AuditError> {
        let log = match self.audit.take() {
            Some(log) => log,
            None => match Log::open(&self.place.path, self.place.rotate) {
                Ok(log) => log,
                Err(error) => {
                    self.trouble = Some(error.to_string());
                    return Err(error);
                }
            },
        };
        self.reserve();
        Ok(self.audit.insert(log))
    }

    pub(super) fn snapshot(&mut self) -> Result<Snapshot, AuditError> {
        match self.log() {
            Ok(log) => log.snapshot(),
            // Somebody wants to know what is wrong with it.
            Err(_shown) => Snapshot::of(&self.place.path),
        }
    }

    fn reserve(&mut self) -> &mut Reserve {
        let directory = self.place.path.parent().unwrap_or_else(|| Path::new("/"));
        self.reserve.get_or_insert_with(|| Reserve::open(directory))
    }

    /// Writes records together. Where there is no room for all, those that nothing waits for are left out: the reserve
    /// is not theirs.
    pub(super) fn write(&mut self, notes: &[Note]) -> Written {
        let waits = |note: &&Note| !Refusals::concern(&note.entry);
        let granted: Vec<_> = notes.iter().filter(waits).cloned().collect();
        self.reserve().refill();
        let mut all = if self.reserve().is_short() && granted.len() < notes.len() {
            Err(AuditError::Io { path: self.place.path.clone(), kind: ErrorKind::StorageFull })
        } else {
            self.append(notes)
        };
        let mut written = Written { granted: Ok(()), refused: all.clone() };
        if !granted.is_empty() {
            while matches!(&all, Err(error) if no_room(error)) {
                all = self.append(&granted);
                if all.is_ok() || !self.reserve().give() {
                    break;
                }
            }
            written.granted = all;
        }
        self.trouble = match (&written.granted, &written.refused) {
            (Ok(()), Ok(())) => None,
            (Err(error), _) | (Ok(()), Err(error)) => Some(error.to_string()),
        };
        self.reserve().refill();
        self.show();
        written
    }

    fn append(&mut self, notes: &[Note]) -> Result<(), AuditError> {
        self.log()?.append(notes)
    }

    /// Writes the machine's memory: a spent code that is not on the disk is not given out, so the reserve is for this,
    /// too.
    pub(super) fn save_state(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut saved = self.store.save_state(bytes);
        while matches!(&saved, Err(StoreError::Io { source, .. }) if is_full(source)) && self.reserve().give()
        {
            saved = self.store.save_state(bytes);
        }
        self.show();
        saved.map_err(|error| Error::Store(self.store.path().to_owned(), error))
    }

    /// Puts up how things stand.
    pub(super) fn show(&mut self) {
        let reserve = self.reserve().is_whole();
        if let Ok(mut board) = self.board.lock() {
            *board = Board {
                place: self.audit.as_ref().map(Log::place),
                lost: self.audit.as_ref().and_then(|log| log.lost().cloned()),
                trouble: self.trouble.clone(),
                reserve,
            };
        }
    }
}

const fn no_room(error: &AuditError) -> bool {
    matches!(error, AuditError::Io { kind: ErrorKind::StorageFull | ErrorKind::QuotaExceeded, .. })
}
