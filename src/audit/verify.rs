//! The whole log, file by file: its chain, its MACs, and the places that others remember.

mod walk;

use super::chain::lines;
use super::record::{Anchor, Entry, Lost};
use super::session::Session;
use super::{AuditError, Log, files};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use walk::Walk;

/// A log as it is at one moment; records that are appended later are no part of it that could be missed.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    /// The numbers of the full files.
    full: Vec<u64>,
    /// The file that grows, where there is one.
    current: Option<File>,
    /// What the daemon itself wrote last, where it knows.
    written: Option<Anchor>,
}

/// What is known of a log beside itself.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The open vault's keys. Gone when it is locked meanwhile.
    pub session: Weak<Session>,
    /// What the vault has sealed.
    pub sealed: Option<Anchor>,
}

/// What a verification came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The first record that was there; 0 where there is none.
    pub first: u64,
    /// The last one that was believed.
    pub last: Anchor,
    /// How many MACs were verified.
    pub verified: u64,
    /// How many could not be: the vault is locked, or has other keys since.
    pub unverified: u64,
    /// Whether the vault's keys and what it has sealed were there to compare with.
    pub with_vault: bool,
    /// What is wrong, if anything.
    pub fault: Option<Fault>,
}

/// The first record that cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number.
    pub record: u64,
    /// What is wrong with it.
    pub text: String,
}

enum Stop {
    Io(io::Error),
    Fault(Fault),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn fault(record: u64, text: impl Into<String>) -> Stop {
    Stop::Fault(Fault { record, text: text.into() })
}

impl Log {
    /// The log as it is now.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn snapshot(&self) -> Result<Snapshot, AuditError> {
        Ok(Snapshot { written: Some(self.place()), ..Snapshot::of(&self.path)? })
    }

    /// What the log has lost, if it does not hold what the vault has sealed. Asked when the session has just begun.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn lost_since(&self, sealed: Anchor) -> Result<Option<Lost>, AuditError> {
        let mut snapshot = self.snapshot()?;
        snapshot.forget_before(sealed.seq)?;
        let known = Known { session: Weak::new(), sealed: Some(sealed) };
        let verdict = snapshot.walk(&known)?;
        let reached = verdict.last.seq >= sealed.seq;
        let begins = verdict.first == 0 || verdict.first > sealed.seq;
        if sealed.seq == 0 || (verdict.fault.is_none() && reached && !begins) {
            return Ok(None);
        }
        // A shorter log ended before the session began, and nobody can tell how long before.
        let from = verdict.fault.map_or(sealed.seq, |fault| fault.record).min(sealed.seq).min(self.opened());
        Ok(Some(Lost { from: from.max(1), seq: sealed.seq, head: sealed.hex() }))
    }
}

impl Snapshot {
    /// A log that is not open, and may not even be one.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn of(path: &Path) -> Result<Self, AuditError> {
        let failed = |error: io::Error| AuditError::Io { path: path.to_owned(), kind: error.kind() };
        let current = match files::read(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let full = files::all_full(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), full, current, written: None })
    }

    /// The file that grows.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves out the full files that end before record `seq`.
    fn forget_before(&mut self, seq: u64) -> Result<(), AuditError> {
        let mut keep = self.full.len();
        let mut first = self.current.as_ref().map_or(Ok(u64::MAX), |_| first_of(&self.path));
        while let Ok(begins) = first
            && begins > seq
            && let Some(before) = keep.checked_sub(1)
            && let Some(number) = self.full.get(before)
        {
            keep = before;
            first = first_of(&files::full(&self.path, *number));
        }
        first.map_err(|error| self.failed(&error))?;
        self.full.drain(..keep);
        Ok(())
    }

    /// Verifies it all.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn verify(self, known: &Known) -> Result<Verdict, AuditError> {
        self.walk(known)
    }

    fn walk(self, known: &Known) -> Result<Verdict, AuditError> {
        let mut walk = Walk::new(known, self.written);
        let stopped = self.each(|line, begins| walk.take(line, begins));
        let fault = match stopped.and_then(|()| walk.end()) {
            Ok(()) => None,
            Err(Stop::Fault(fault)) => Some(fault),
            Err(Stop::Io(error)) => {
                return Err(AuditError::Io { path: self.path, kind: error.kind() });
            }
        };
        // What a record says was lost before counts where it was lost.
        let lost = walk.lost.take().map(|lost| Fault {
            record: lost.from,
            text: format!("from here on the log was not what the vault had sealed up to record {}", lost.seq),
        });
        let fault = match (fault, lost) {
            (Some(fault), Some(lost)) => Some(if fault.record < lost.record { fault } else { lost }),
            (fault, lost) => fault.or(lost),
        };
        Ok(Verdict {
            first: walk.first,
            last: walk.place(),
            verified: walk.verified,
            unverified: walk.unverified,
            with_vault: known.session.strong_count() > 0,
            fault,
        })
    }

    /// Every record that `take` wants, as it stands in the log and as it is read, from the oldest on.
    ///
    /// # Errors
    /// [`AuditError::Io`]; what `take` returns.
    pub fn records(
        self,
        mut take: impl FnMut(&[u8], Option<&Entry>) -> io::Result<()>,
    ) -> Result<(), AuditError> {
        let each = self.each(|line, _begins| {
            // What is no record any more is shown all the same.
            let entry = serde_json::from_slice::<Entry>(line).ok();
            Ok(take(line, entry.as_ref())?)
        });
        match each {
            Err(Stop::Io(error)) => Err(self.failed(&error)),
            Ok(()) | Err(Stop::Fault(_)) => Ok(()),
        }
    }

    /// Hands out each line, and whether it is the first of its file.
    fn each(&self, mut take: impl FnMut(&[u8], bool) -> Result<(), Stop>) -> Result<(), Stop> {
        for number in &self.full {
            let file = files::read(&files::full(&self.path, *number))?;
            let mut begins = true;
            lines(BufReader::new(file), |line| take(line, std::mem::take(&mut begins)))?;
        }
        if let Some(file) = &self.current {
            let mut begins = true;
            lines(BufReader::new(file), |line| take(line, std::mem::take(&mut begins)))?;
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> AuditError {
        AuditError::Io { path: self.path.clone(), kind: error.kind() }
    }
}

/// The number that the first record of a file says it has; none of ours is that of an empty file.
fn first_of(path: &Path) -> io::Result<u64> {
    #[derive(serde::Deserialize)]
    struct Number {
        seq: u64,
    }
    let mut line = Vec::new();
    io::Read::take(BufReader::new(files::read(path)?), 1 << 18).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice::<Number>(&line).map_or(u64::MAX, |number| number.seq))
}

/// The event of a record that begins a new key epoch.
pub const REKEYED: &str = "new-keys";

#[cfg(test)]
mod tests;
