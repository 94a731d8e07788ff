//! The file: opened once, verified from its first line, only ever appended to.

use super::record::{Record, chain_hash, chain_start};
use super::{AuditError, Entry};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The open log. Its owner is the one that appends.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    next: u64,
    head: String,
    length: u64,
    /// Set when a failed append could not be undone: what is on the disk is not known any more.
    torn: bool,
}

impl Log {
    /// Opens the log at `path`, makes it where there is none, and verifies the chain. A last line that was cut off
    /// in the middle is removed: its secret never went out, because the line was never synced whole.
    ///
    /// # Errors
    /// [`AuditError::Broken`] when a record does not follow from the one before, [`AuditError::Io`] otherwise.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::APPEND;
        let failed = |kind| AuditError::Io { path: path.to_owned(), kind };
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed(std::io::Error::from(errno).kind()))?;
        let mut log = Self {
            path: path.to_owned(),
            file: File::from(file),
            next: 1,
            head: chain_start(),
            length: 0,
            torn: false,
        };
        log.verify()?;
        log.file
            .set_len(log.length)
            .and_then(|()| log.file.sync_all())
            .map_err(|error| failed(error.kind()))?;
        if let Some(directory) = path.parent() {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(|error| failed(error.kind()))?;
        }
        Ok(log)
    }

    fn verify(&mut self) -> Result<(), AuditError> {
        let failed = |error: std::io::Error| AuditError::Io { path: self.path.clone(), kind: error.kind() };
        let mut reader = BufReader::new(&self.file);
        reader.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if line.last() != Some(&b'\n') {
                break;
            }
            self.length = self.length.saturating_add(line.len() as u64);
            line.pop();
            let follows = serde_json::from_slice::<Record<Entry>>(&line)
                .is_ok_and(|record| record.seq == self.next && record.prev == self.head);
            if !follows {
                return Err(AuditError::Broken { path: self.path.clone(), record: self.next });
            }
            self.head = chain_hash(&line);
            self.next = self.next.saturating_add(1);
            line.clear();
        }
        Ok(())
    }

    /// Appends records and waits until all of them are on the disk: many cost one sync.
    ///
    /// # Errors
    /// [`AuditError::Io`]: then none of them is in the log, and nothing that they speak of may happen.
    pub fn append<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) -> Result<(), AuditError> {
        self.is_in_its_place()?;
        let mut lines = Vec::new();
        let (mut next, mut head) = (self.next, self.head.clone());
        for entry in entries {
            let start = lines.len();
            let record = Record { seq: next, entry, prev: head };
            serde_json::to_writer(&mut lines, &record)
                .map_err(|error| self.failed(&std::io::Error::from(error)))?;
            head = chain_hash(lines.get(start..).unwrap_or_default());
            next = next.saturating_add(1);
            lines.push(b'\n');
        }
        if self.torn {
            self.cut()?;
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would break the chain for every record after it.
            self.torn = true;
            let _tried_again_before_the_next_record = self.cut();
            return Err(self.failed(&error));
        }
        self.length = self.length.saturating_add(lines.len() as u64);
        self.next = next;
        self.head = head;
        Ok(())
    }

    /// A log that was moved away or emptied would take records that nobody finds.
    fn is_in_its_place(&self) -> Result<(), AuditError> {
        let ours = rustix::fs::fstat(&self.file).map_err(|errno| self.failed(&errno.into()))?;
        let there = rustix::fs::lstat(&self.path).map_err(|errno| self.failed(&errno.into()))?;
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

    fn failed(&self, error: &std::io::Error) -> AuditError {
        AuditError::Io { path: self.path.clone(), kind: error.kind() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Outcome;

    fn entry(event: &str) -> Entry {
        Entry {
            time: 1,
            event: event.to_owned(),
            outcome: Outcome::Granted,
            reason: None,
            uid: 0,
            pid: 1,
            says_it_is: None,
            what: None,
            token: None,
        }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rootseal-audit-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_log_goes_on_where_it_stopped() {
        let folder = Folder::new("goes-on");
        let path = folder.0.join("audit.log");
        Log::open(&path).unwrap().append([&entry("one")]).unwrap();
        Log::open(&path).unwrap().append([&entry("two")]).unwrap();
        assert_eq!(Log::open(&path).unwrap().next, 3);
    }

    #[test]
    fn records_that_are_written_together_are_chained_and_share_one_fate() {
        let folder = Folder::new("together");
        let path = folder.0.join("audit.log");
        let mut log = Log::open(&path).unwrap();
        log.append(&[entry("one"), entry("two")]).unwrap();
        let good = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        assert!(matches!(log.append(&[entry("three"), entry("four")]), Err(AuditError::Io { .. })));
        log.file = good;
        log.append(&[entry("five"), entry("six")]).unwrap();
        assert_eq!(Log::open(&path).unwrap().next, 5);
        assert!(!std::fs::read_to_string(&path).unwrap().contains("three"));
    }

    #[test]
    fn a_changed_record_is_named() {
        let folder = Folder::new("changed");
        let path = folder.0.join("audit.log");
        let mut log = Log::open(&path).unwrap();
        for event in ["one", "two", "three"] {
            log.append([&entry(event)]).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap().replace("\"two\"", "\"twi\"");
        std::fs::write(&path, text).unwrap();
        assert!(matches!(Log::open(&path), Err(AuditError::Broken { record: 3, .. })));
    }

    #[test]
    fn a_removed_record_is_named() {
        let folder = Folder::new("removed");
        let path = folder.0.join("audit.log");
        let mut log = Log::open(&path).unwrap();
        for event in ["one", "two", "three"] {
            log.append([&entry(event)]).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let without: Vec<&str> =
            text.split_inclusive('\n').filter(|line| !line.contains("\"two\"")).collect();
        std::fs::write(&path, without.concat()).unwrap();
        assert!(matches!(Log::open(&path), Err(AuditError::Broken { record: 2, .. })));
    }

    #[test]
    fn half_a_line_is_cut_off() {
        let folder = Folder::new("half");
        let path = folder.0.join("audit.log");
        Log::open(&path).unwrap().append([&entry("one")]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn.extend_from_slice(b"{\"seq\":2,");
        std::fs::write(&path, torn).unwrap();
        let mut log = Log::open(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        log.append([&entry("two")]).unwrap();
        assert_eq!(Log::open(&path).unwrap().next, 3);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_the_log_goes_on_afterwards() {
        let folder = Folder::new("full");
        let path = folder.0.join("audit.log");
        let mut log = Log::open(&path).unwrap();
        log.append([&entry("one")]).unwrap();
        // Open for reading alone: the write fails.
        let good = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        assert!(matches!(log.append([&entry("two")]), Err(AuditError::Io { .. })));
        log.file = good;
        log.append([&entry("three")]).unwrap();
        assert_eq!(Log::open(&path).unwrap().next, 3);
    }

    #[test]
    fn a_log_that_was_moved_away_or_changed_takes_no_record_until_it_is_back() {
        let folder = Folder::new("moved");
        let path = folder.0.join("audit.log");
        let mut log = Log::open(&path).unwrap();
        log.append([&entry("one")]).unwrap();
        let away = folder.0.join("audit.log.1");
        std::fs::rename(&path, &away).unwrap();
        assert!(matches!(log.append([&entry("two")]), Err(AuditError::Io { .. })));
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(log.append([&entry("two")]), Err(AuditError::Replaced { .. })));
        std::fs::rename(&away, &path).unwrap();
        log.append([&entry("two")]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(log.append([&entry("three")]), Err(AuditError::Replaced { .. })));
        std::fs::write(&path, whole).unwrap();
        log.append([&entry("three")]).unwrap();
        assert_eq!(Log::open(&path).unwrap().next, 4);
    }
}
