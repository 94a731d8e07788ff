//! The file: opened once, verified from its first line, only ever appended to, and put aside when it is full.

use super::chain::{Chain, lines};
use super::files;
use super::record::{Anchor, Lost, Record, add_mac};
use super::session::Session;
use super::{AuditError, Entry};
use rustix::io::retry_on_intr as retry;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// A record to be written.
#[derive(Clone, Debug)]
pub struct Note {
    /// What it says.
    pub entry: Entry,
    /// The session whose keys serve from this record on.
    pub opens: Option<Arc<Session>>,
}

impl From<Entry> for Note {
    fn from(entry: Entry) -> Self {
        Self { entry, opens: None }
    }
}

/// The open log. Its owner is the one that appends.
#[derive(Debug)]
pub struct Log {
    pub(super) path: PathBuf,
    file: File,
    /// From this length on, a new file is begun.
    rotate: u64,
    /// The number of the last file that was full; 0 where there is none.
    full: u64,
    pub(super) place: Anchor,
    length: u64,
    /// Set when a failed append could not be undone: what is on the disk is not known any more.
    torn: bool,
    /// Set while the names of the files may not be on the disk.
    unnamed: bool,
    session: Weak<Session>,
    /// The session goes on after another one: its next record says so.
    resumed: bool,
    /// The record that began the session.
    opened: u64,
    /// What a record of this file says of the log itself.
    lost: Option<Lost>,
}

enum Trouble {
    Io(io::Error),
    Broken(u64),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Log {
    /// Opens the log at `path`, makes it where there is none, and verifies the chain of the file that grows. A last
    /// line that was cut off in the middle is removed: its secret never went out, because the line was never synced
    /// whole.
    ///
    /// # Errors
    /// [`AuditError::Broken`] when a record does not follow from the one before, [`AuditError::Io`] otherwise.
    pub fn open(path: &Path, rotate: u64) -> Result<Self, AuditError> {
        let failed = |error: io::Error| AuditError::Io { path: path.to_owned(), kind: error.kind() };
        files::tidy(path).map_err(failed)?;
        let mut log = Self {
            path: path.to_owned(),
            file: files::open(path).map_err(failed)?,
            rotate,
            full: 0,
            place: Anchor::START,
            length: 0,
            torn: false,
            unnamed: true,
            session: Weak::new(),
            resumed: false,
            opened: 0,
            lost: None,
        };
        log.verify()?;
        log.cut()?;
        log.name()?;
        Ok(log)
    }

    /// From this length on, a new file is begun from now on.
    pub const fn set_rotate(&mut self, rotate: u64) {
        self.rotate = rotate;
    }

    /// The place of the last record.
    pub const fn place(&self) -> Anchor {
        self.place
    }

    /// The record that began the session that goes on.
    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }

    /// What this file says was found of the log itself.
    pub const fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Goes on with the keys of an earlier session.
    pub fn resume(&mut self, session: &Arc<Session>) {
        (self.session, self.resumed) = (Arc::downgrade(session), true);
    }

    fn verify(&mut self) -> Result<(), AuditError> {
        let numbers = files::all_full(&self.path).map_err(|error| self.failed(&error))?;
        self.full = numbers.last().copied().unwrap_or(0);
        let path = self.path.clone();
        let file = files::read(&path).map_err(|error| self.failed(&error))?;
        self.place = self.read(&path, file)?;
        // A crash may have come between a full file and the first record of the next.
        if self.length == 0 && self.full > 0 {
            let path = files::full(&self.path, self.full);
            let file = files::read(&path).map_err(|error| self.failed(&error))?;
            self.place = self.read(&path, file)?;
            self.length = 0;
        }
        Ok(())
    }

    /// Follows the chain through one file.
    fn read(&mut self, path: &Path, file: File) -> Result<Anchor, AuditError> {
        let mut chain = Chain::unknown();
        let mut length = 0_u64;
        let read = lines(BufReader::new(file), |line| {
            let number = chain.next();
            let record = chain.take(line, length == 0).map_err(|_why| Trouble::Broken(number))?;
            length = length.saturating_add(line.len() as u64).saturating_add(1);
            self.full = self.full.max(record.after.unwrap_or(0));
            if record.entry.lost.is_some() {
                self.lost = record.entry.lost;
            }
            Ok(())
        });
        self.length = length;
        match read {
            Ok(_torn) => Ok(chain.place()),
            Err(Trouble::Io(error)) => Err(self.failed(&error)),
            Err(Trouble::Broken(record)) => Err(AuditError::Broken { path: path.to_owned(), record }),
        }
    }

    /// Appends records and waits until all of them are on the disk: many cost one sync.
    ///
    /// # Errors
    /// [`AuditError::Io`]: then none of them is in the log, and nothing that they speak of may happen.
    pub fn append(&mut self, notes: &[Note]) -> Result<(), AuditError> {
        self.is_in_its_place()?;
        if self.torn {
            self.cut()?;
        }
        // One that cannot be put aside now grows on, and is tried again with the next record.
        if self.length >= self.rotate
            && let Ok(file) = files::rotate(&self.path, self.full.saturating_add(1))
        {
            (self.file, self.length, self.unnamed) = (file, 0, true);
            self.full = self.full.saturating_add(1);
        }
        if self.unnamed {
            self.name()?;
        }
        let batch = self.write_out(notes)?;
        let written = self.file.write_all(&batch.lines).and_then(|()| self.file.sync_data());
        let session = batch.session.upgrade();
        if let Err(error) = written {
            // Half a line would break the chain for every record after it.
            self.torn = true;
            let _tried_again_before_the_next_record = self.cut();
            if let Some(session) = session {
                session.abandon();
            }
            return Err(self.failed(&error));
        }
        if let Some(session) = session {
            session.commit();
        }
        self.length = self.length.saturating_add(batch.lines.len() as u64);
        (self.place, self.session, self.opened) = (batch.place, batch.session, batch.opened);
        self.resumed = false;
        for note in notes {
            if note.entry.lost.is_some() {
                self.lost.clone_from(&note.entry.lost);
            }
        }
        Ok(())
    }

    /// The lines of a batch. The session is held for no longer than this takes: when the vault is locked its keys go,
    /// although the disk may be slow.
    fn write_out(&self, notes: &[Note]) -> Result<Batch, AuditError> {
        let mut session = self.session.upgrade();
        if let Some(session) = &session {
            session.stage();
        }
        let (mut lines, mut place, mut opened) = (Vec::new(), self.place, self.opened);
        for note in notes {
            let first = self.length == 0 && lines.is_empty();
            let opens = note.opens.is_some() || self.resumed && lines.is_empty();
            if let Some(new) = &note.opens {
                session = Some(Arc::clone(new));
                opened = place.seq.saturating_add(1);
            }
            // Each file can be verified without those before it.
            let opening = session.as_ref().filter(|_| opens || first).map(|session| session.open());
            let record = Record {
                seq: place.seq.saturating_add(1),
                entry: &note.entry,
                after: (first && place.seq > 0).then_some(self.full),
                key: opening
                    .transpose()
                    .map_err(|_no_randomness| self.failed(&io::ErrorKind::Other.into()))?,
                prev: place.hex(),
                mac: None,
            };
            let mut line = serde_json::to_vec(&record).map_err(|error| self.failed(&error.into()))?;
            if let Some(session) = &session
                && let Some((_brace, body)) = line.split_last()
                && let Some(mac) = session.mac(body)
            {
                add_mac(&mut line, &mac);
            }
            place = place.after(&line);
            lines.append(&mut line);
            lines.push(b'\n');
        }
        let session = session.as_ref().map_or_else(Weak::new, Arc::downgrade);
        Ok(Batch { lines, place, session, opened })
    }

    /// A log that was moved away or emptied would take records that nobody finds.
    pub(super) fn is_in_its_place(&self) -> Result<(), AuditError> {
        let ours = retry(|| rustix::fs::fstat(&self.file)).map_err(|errno| self.failed(&errno.into()))?;
        let there = retry(|| rustix::fs::lstat(&self.path)).map_err(|errno| self.failed(&errno.into()))?;
        let length = u64::try_from(ours.st_size).unwrap_or(0);
        let same = (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino);
        if same && (length == self.length || self.torn) {
            Ok(())
        } else {
            Err(AuditError::Replaced { path: self.path.clone() })
        }
    }

    fn cut(&mut self) -> Result<(), AuditError> {
        self.file
            .set_len(self.length)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| self.failed(&error))?;
        self.torn = false;
        Ok(())
    }

    fn name(&mut self) -> Result<(), AuditError> {
        files::sync_directory(&self.path).map_err(|error| self.failed(&error))?;
        self.unnamed = false;
        Ok(())
    }

    pub(super) fn failed(&self, error: &io::Error) -> AuditError {
        AuditError::Io { path: self.path.clone(), kind: error.kind() }
    }
}

/// Records that are ready to be written, and how things stand when they are.
struct Batch {
    lines: Vec<u8>,
    place: Anchor,
    session: Weak<Session>,
    opened: u64,
}

#[cfg(test)]
pub(in crate::audit) mod tests;
