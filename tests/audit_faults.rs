//! Records that are appended while every system call fails, and processes that die before and after each: no record
//! that counts as written is lost, none is there by half, and the chain and its MACs go on.
//!
//! As `store_faults.rs`: the test runs itself under `strace`.
#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rootseal::audit::{Entry, Known, Log, Note, Outcome, Session, Verdict};
use rootseal::secret::AuditKey;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const DIRECTORY: &str = "ROOTSEAL_TEST_AUDIT_FAULTS_DIRECTORY";
const ROTATE: &str = "ROOTSEAL_TEST_AUDIT_FAULTS_ROTATE";
const CALLS: &str = "openat,write,fsync,fdatasync,renameat,renameat2,unlinkat,newfstatat,fstat,statx,?rename,\
                     ?unlink,ftruncate,getdents64,getrandom";
const BEGINS: &str = "/rootseal-test-append-begins";

fn session() -> Arc<Session> {
    Arc::new(Session::new(AuditKey::copy_from(&[1; 32]), &[2; 16], 3))
}

fn note(event: &str) -> Note {
    Entry::new(1, event, Outcome::Granted, 0, 1).into()
}

/// The child: not a test of its own, it does something only where the parent asks for it.
#[test]
fn child_appends() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let rotate = if std::env::var_os(ROTATE).is_some_and(|rotate| rotate == "rotate") { 1 } else { u64::MAX };
    let path = Path::new(&directory).join("audit.log");
    let session = session();
    let mut log = Log::open(&path, u64::MAX).unwrap();
    log.append(&[Note { opens: Some(Arc::clone(&session)), ..note("unlock") }, note("one")]).unwrap();
    log.set_rotate(rotate);
    // Tells the parent's strace where the append begins: this file is never there.
    assert!(fs::metadata(BEGINS).is_err());
    let appended = log.append(&[note("two")]);
    drop(log);
    appended.unwrap();
}

struct Run {
    directory: PathBuf,
    rotate: &'static str,
}

impl Run {
    fn prepare(&self) {
        let _fresh = fs::remove_dir_all(&self.directory);
        fs::create_dir_all(&self.directory).unwrap();
    }

    fn child(&self, strace: &[&str]) -> Output {
        Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(self.trace())
            .args(strace)
            .arg("--")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends", "--test-threads=1", "--nocapture"])
            .env(DIRECTORY, &self.directory)
            .env(ROTATE, self.rotate)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn trace(&self) -> PathBuf {
        self.directory.with_extension("strace")
    }

    /// For each call, how many a clean run makes before the append and how many in all.
    fn count(&self) -> BTreeMap<String, (usize, usize)> {
        self.prepare();
        let output = self.child(&["-e", &format!("trace={CALLS},?stat,?lstat")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let trace = fs::read_to_string(self.trace()).unwrap();
        let mut counts = BTreeMap::<String, (usize, usize)>::new();
        let mut appending = false;
        for line in trace.lines() {
            let call = line.split_whitespace().nth(1).unwrap().split('(').next().unwrap().to_owned();
            if call.starts_with(|first: char| first.is_ascii_lowercase()) && !line.contains("resumed>") {
                let count = counts.entry(call).or_default();
                count.1 += 1;
                count.0 += usize::from(!appending);
            }
            appending |= line.contains(BEGINS);
        }
        assert!(appending, "the trace shows where the append begins");
        counts
    }

    fn verdict(log: &Log, what: &str) -> Verdict {
        let session = session();
        let known = Known { session: Arc::downgrade(&session), sealed: None };
        let verdict = log.snapshot().unwrap().verify(&known).unwrap();
        assert_eq!(verdict.fault, None, "{what}");
        verdict
    }

    fn check(&self, what: &str, appended: bool) {
        let path = self.directory.join("audit.log");
        let mut log = Log::open(&path, u64::MAX).unwrap();
        let verdict = Self::verdict(&log, what);
        assert!((2..=3).contains(&verdict.last.seq), "{what}: {verdict:?}");
        assert!(!appended || verdict.last.seq == 3, "{what}: appended, and gone");
        assert_eq!(verdict.verified, verdict.last.seq, "{what}: every record has its MAC");
        log.append(&[note("locked")]).unwrap();
        assert_eq!(Self::verdict(&log, what).last.seq, verdict.last.seq + 1, "{what}");
        for entry in fs::read_dir(&self.directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(matches!(name.as_str(), "audit.log" | "audit.log.1"), "{what}: left {name}");
        }
    }
}

fn every_fault(rotate: &'static str, expected: &[&str]) {
    let found = Command::new("strace").arg("-V").output();
    assert!(found.is_ok(), "this test needs strace (`make deps` installs it)");
    let base = std::env::temp_dir().join(format!("rootseal-audit-faults-{rotate}-{}", std::process::id()));
    let run = Run { directory: base, rotate };
    let counts = run.count();
    for expected in expected {
        assert!(counts.get(*expected).is_some_and(|(before, all)| all > before), "{expected}: {counts:?}");
    }
    let mut failed = 0;
    for (call, (before, all)) in &counts {
        for nth in before + 1..=*all {
            for fault in ["error=ENOSPC", "error=EIO", "error=EROFS", "error=EINTR", "signal=KILL"] {
                run.prepare();
                let what = format!("{rotate}: {fault} in {call} {} of {}", nth - before, all - before);
                let output = run.child(&["-e", &format!("inject={call}:{fault}:when={nth}")]);
                // The harness itself writes to stdout after the append: its failure is not the append's.
                let appended = output.status.success();
                assert!(appended || fault != "error=EINTR", "{what}: an interrupted call is to be repeated");
                failed += usize::from(!appended);
                run.check(&what, appended);
            }
        }
    }
    assert!(failed > 8, "faults were injected: {failed}");
    fs::remove_dir_all(&run.directory).unwrap();
    fs::remove_file(run.trace()).unwrap();
}

#[test]
fn an_append_survives_every_fault() {
    every_fault("append", &["write", "fdatasync"]);
}

#[test]
fn an_append_that_begins_a_new_file_survives_every_fault() {
    every_fault("rotate", &["openat", "renameat2", "write", "fsync", "fdatasync"]);
}
