//! The whole log, file by file: its chain, its MACs, and the places that others remember.

use super::chain::{Chain, lines};
use super::record::{Anchor, Entry, Lost, Opening, before_mac, unhex};
use super::session::{Ratchet, Session};
use super::{AuditError, Log, files};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Weak;

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
        let mut walk = Walk {
            known,
            written: self.written,
            chain: Chain::unknown(),
            keys: Keys::Closed,
            first: 0,
            verified: 0,
            unverified: 0,
            lost: None,
        };
        let stopped = self.each(|line, begins| walk.take(line, begins));
        let fault = match stopped.and_then(|()| walk.end()) {
            Ok(()) => None,
            Err(Stop::Fault(fault)) => Some(fault),
            Err(Stop::Io(error)) => {
                return Err(AuditError::Io { path: self.path, kind: error.kind() });
            }
        };
        // What a record says was lost before counts where it was lost.
        let lost = walk.lost.map(|lost| Fault {
            record: lost.from,
            text: format!("from here on the log was not what the vault had sealed up to record {}", lost.seq),
        });
        let fault = match (fault, lost) {
            (Some(fault), Some(lost)) => Some(if fault.record < lost.record { fault } else { lost }),
            (fault, lost) => fault.or(lost),
        };
        Ok(Verdict {
            first: walk.first,
            last: walk.chain.place(),
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

enum Keys {
    /// Records carry no MAC: the vault is locked.
    Closed,
    /// They carry MACs under other keys than this vault's.
    Foreign,
    /// The key of the next record.
    Here(Ratchet),
}

struct Walk<'a> {
    known: &'a Known,
    written: Option<Anchor>,
    chain: Chain,
    keys: Keys,
    first: u64,
    verified: u64,
    unverified: u64,
    lost: Option<Lost>,
}

impl Walk<'_> {
    fn take(&mut self, line: &[u8], begins: bool) -> Result<(), Stop> {
        let number = self.chain.next();
        let record = self.chain.take(line, begins).map_err(|text| fault(number, text))?;
        if self.first == 0 {
            self.first = record.seq;
        }
        self.check_mac(line, record.seq, record.key.as_ref(), record.mac.as_deref(), &record.entry.event)?;
        for (known, whose) in
            [(self.known.sealed, "the vault has sealed"), (self.written, "the daemon wrote")]
        {
            if known.is_some_and(|known| known.seq == record.seq && known != self.chain.place()) {
                return Err(fault(record.seq, format!("this is not the record that {whose}")));
            }
        }
        if let Some(lost) = record.entry.lost
            && self.lost.as_ref().is_none_or(|known| lost.from < known.from)
        {
            self.lost = Some(lost);
        }
        Ok(())
    }

    fn check_mac(
        &mut self,
        line: &[u8],
        seq: u64,
        opening: Option<&Opening>,
        mac: Option<&str>,
        event: &str,
    ) -> Result<(), Stop> {
        let session = self.known.session.upgrade();
        if let Some(opening) = opening {
            let salt = unhex(&opening.salt).ok_or_else(|| fault(seq, "this is no record"))?;
            self.keys = match &session {
                Some(session) if session.can_check(opening) => Keys::Here(session.ratchet(&salt)),
                // Old keys are gone with the vault that had them. What was written under them is vouched for by
                // what the vault has sealed since, and only as far as that goes.
                Some(session) => {
                    let sealed = self.known.sealed.is_some_and(|sealed| seq <= sealed.seq);
                    let never_came = event == REKEYED && session.is_before(opening);
                    if !sealed && !never_came {
                        return Err(fault(seq, "its MAC is by a key that this vault does not have"));
                    }
                    Keys::Foreign
                }
                None => Keys::Foreign,
            };
        }
        let Some(mac) = mac else {
            if opening.is_some() {
                return Err(fault(seq, "its MAC is missing"));
            }
            self.keys = Keys::Closed;
            return Ok(());
        };
        match &mut self.keys {
            Keys::Closed => Err(fault(seq, "it carries a MAC, and the record that began them is not there")),
            Keys::Foreign => {
                if session.is_some()
                    && self.known.sealed.is_none_or(|sealed| seq > sealed.seq)
                    && opening.is_none()
                {
                    return Err(fault(seq, "its MAC is by a key that this vault does not have"));
                }
                self.unverified = self.unverified.saturating_add(1);
                Ok(())
            }
            Keys::Here(ratchet) => {
                let good =
                    before_mac(line).zip(unhex(mac)).is_some_and(|(body, mac)| ratchet.verify(body, &mac));
                if !good {
                    return Err(fault(seq, "its MAC is wrong: somebody without the vault's key wrote it"));
                }
                self.verified = self.verified.saturating_add(1);
                Ok(())
            }
        }
    }

    /// Whether it goes as far as others remember.
    fn end(&self) -> Result<(), Stop> {
        let last = self.chain.place().seq;
        for (known, whose) in
            [(self.known.sealed, "the vault has sealed"), (self.written, "the daemon wrote")]
        {
            if let Some(known) = known.filter(|known| known.seq > last) {
                let next = last.saturating_add(1);
                return Err(fault(next, format!("records are missing: {whose} {} of them", known.seq)));
            }
            if let Some(known) =
                known.filter(|known| known.seq > 0 && known.seq.saturating_add(1) < self.first)
            {
                return Err(fault(known.seq, format!("this record, which {whose}, is not there")));
            }
        }
        Ok(())
    }
}

/// The event of a record that begins a new key epoch.
pub const REKEYED: &str = "new-keys";

#[cfg(test)]
mod tests;
