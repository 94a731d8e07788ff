use super::*;
use crate::audit::Outcome;

pub(in crate::audit) fn note(event: &str) -> Note {
    Entry::new(1, event, Outcome::Granted, 0, 1).into()
}

pub(in crate::audit) struct Folder(pub(in crate::audit) PathBuf);

impl Folder {
    pub(in crate::audit) fn new(name: &str) -> Self {
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
    Log::open(&path, u64::MAX).unwrap().append(&[note("one")]).unwrap();
    Log::open(&path, u64::MAX).unwrap().append(&[note("two")]).unwrap();
    assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 2);
}

#[test]
fn records_that_are_written_together_are_chained_and_share_one_fate() {
    let folder = Folder::new("together");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[note("one"), note("two")]).unwrap();
    let good = std::mem::replace(&mut log.file, File::open(&path).unwrap());
    assert!(matches!(log.append(&[note("three"), note("four")]), Err(AuditError::Io { .. })));
    log.file = good;
    log.append(&[note("five"), note("six")]).unwrap();
    assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 4);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("three"));
}

#[test]
fn a_changed_record_is_named() {
    let folder = Folder::new("changed");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, u64::MAX).unwrap();
    for event in ["one", "two", "three"] {
        log.append(&[note(event)]).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap().replace("\"two\"", "\"twi\"");
    std::fs::write(&path, text).unwrap();
    assert!(matches!(Log::open(&path, u64::MAX), Err(AuditError::Broken { record: 3, .. })));
}

#[test]
fn a_removed_record_is_named() {
    let folder = Folder::new("removed");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, u64::MAX).unwrap();
    for event in ["one", "two", "three"] {
        log.append(&[note(event)]).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let without: Vec<&str> = text.split_inclusive('\n').filter(|line| !line.contains("\"two\"")).collect();
    std::fs::write(&path, without.concat()).unwrap();
    assert!(matches!(Log::open(&path, u64::MAX), Err(AuditError::Broken { record: 2, .. })));
}

#[test]
fn half_a_line_is_cut_off() {
    let folder = Folder::new("half");
    let path = folder.0.join("audit.log");
    Log::open(&path, u64::MAX).unwrap().append(&[note("one")]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(b"{\"seq\":2,");
    std::fs::write(&path, torn).unwrap();
    let mut log = Log::open(&path, u64::MAX).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    log.append(&[note("two")]).unwrap();
    assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 2);
}

#[test]
fn what_cannot_be_written_is_an_error_and_the_log_goes_on_afterwards() {
    let folder = Folder::new("full");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[note("one")]).unwrap();
    // Open for reading alone: the write fails.
    let good = std::mem::replace(&mut log.file, File::open(&path).unwrap());
    assert!(matches!(log.append(&[note("two")]), Err(AuditError::Io { .. })));
    log.file = good;
    log.append(&[note("three")]).unwrap();
    assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 2);
}

#[test]
fn a_log_that_was_moved_away_or_changed_takes_no_record_until_it_is_back() {
    let folder = Folder::new("moved");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[note("one")]).unwrap();
    let away = folder.0.join("audit.log.1");
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(log.append(&[note("two")]), Err(AuditError::Io { .. })));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(log.append(&[note("two")]), Err(AuditError::Replaced { .. })));
    std::fs::rename(&away, &path).unwrap();
    log.append(&[note("two")]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(log.append(&[note("three")]), Err(AuditError::Replaced { .. })));
    std::fs::write(&path, whole).unwrap();
    log.append(&[note("three")]).unwrap();
    assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 3);
}

fn files(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_log_goes_on_in_a_new_file() {
    let folder = Folder::new("full-file");
    let path = folder.0.join("audit.log");
    let session = crate::audit::session::for_tests(1, 1);
    let mut log = Log::open(&path, 1).unwrap();
    log.append(&[Note { opens: Some(Arc::clone(&session)), ..note("one") }]).unwrap();
    log.append(&[note("two"), note("three")]).unwrap();
    log.append(&[note("four")]).unwrap();
    assert_eq!(files(&folder), ["audit.log", "audit.log.1", "audit.log.2"]);
    // The file that grows is believed by itself, and the chain goes on through all of them.
    let mut log = Log::open(&path, 1).unwrap();
    assert_eq!((log.place.seq, log.full), (4, 2));
    log.append(&[note("five")]).unwrap();
    let first = std::fs::read_to_string(&path).unwrap();
    assert!(first.contains("\"after\":3") && !first.contains("\"key\""), "{first}");
    let first = std::fs::read_to_string(folder.0.join("audit.log.3")).unwrap();
    assert!(first.contains("\"after\":2") && first.contains("\"key\""), "{first}");
}

#[test]
fn a_full_file_is_never_replaced() {
    let folder = Folder::new("kept-file");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, 1).unwrap();
    log.append(&[note("one")]).unwrap();
    std::fs::write(folder.0.join("audit.log.1"), "somebody's").unwrap();
    log.append(&[note("two")]).unwrap();
    assert_eq!(std::fs::read_to_string(folder.0.join("audit.log.1")).unwrap(), "somebody's");
    assert_eq!(files(&folder), ["audit.log", "audit.log.1"]);
    assert_eq!(Log::open(&path, 1).unwrap().place.seq, 2);
}

#[test]
fn a_crash_between_two_files_loses_nothing() {
    let folder = Folder::new("between");
    let path = folder.0.join("audit.log");
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[note("one"), note("two")]).unwrap();
    std::fs::rename(&path, folder.0.join("audit.log.1")).unwrap();
    std::fs::write(folder.0.join("audit.log.new"), "").unwrap();
    for rest in ["", "{\"seq\":3,"] {
        std::fs::write(&path, rest).unwrap();
        assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 2);
    }
    Log::open(&path, u64::MAX).unwrap().append(&[note("three")]).unwrap();
    assert_eq!(Log::open(&path, u64::MAX).unwrap().place.seq, 3);
    assert_eq!(files(&folder), ["audit.log", "audit.log.1"]);
    // Without its first record, the file does not say what it goes on from.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"after\":1,", "")).unwrap();
    assert!(matches!(Log::open(&path, u64::MAX), Err(AuditError::Broken { record: 1, .. })));
}

#[test]
fn records_are_authenticated_for_as_long_as_the_session_lives() {
    let folder = Folder::new("session");
    let path = folder.0.join("audit.log");
    let session = crate::audit::session::for_tests(1, 1);
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[note("before")]).unwrap();
    log.append(&[Note { opens: Some(Arc::clone(&session)), ..note("unlock") }, note("in")]).unwrap();
    assert_eq!(log.opened(), 2);
    drop(session);
    log.append(&[note("after")]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let macs: Vec<_> = text.lines().map(|line| line.contains("\"mac\":")).collect();
    assert_eq!(macs, [false, true, true, false]);
}

#[test]
fn a_session_that_is_resumed_says_so() {
    let folder = Folder::new("resumed");
    let path = folder.0.join("audit.log");
    let (session, other) = (crate::audit::session::for_tests(1, 1), crate::audit::session::for_tests(2, 2));
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[Note { opens: Some(Arc::clone(&session)), ..note("unlock") }]).unwrap();
    log.append(&[Note { opens: Some(other), ..note("new-keys") }]).unwrap();
    log.resume(&session);
    log.append(&[note("one"), note("two")]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let epochs: Vec<_> = text.lines().map(|line| line.find("\"epoch\":1").is_some()).collect();
    assert_eq!(epochs, [true, false, true, false]);
    let known = crate::audit::Known { session: Arc::downgrade(&session), sealed: Some(log.place()) };
    let verdict = log.snapshot().unwrap().verify(&known).unwrap();
    assert_eq!((verdict.fault, verdict.verified, verdict.unverified), (None, 3, 1));
}
