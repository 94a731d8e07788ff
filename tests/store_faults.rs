//! Saves that fail at every system call they make, and processes that die before and after each.
//!
//! The test runs itself under `strace` as a child that saves once: a clean run counts the calls, then each
//! is made to fail, or the child is killed as it enters it. The old or the new vault must read afterwards.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use rootseal::store::{FileStore, Keep, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const DIRECTORY: &str = "ROOTSEAL_TEST_FAULTS_DIRECTORY";
const MODE: &str = "ROOTSEAL_TEST_FAULTS_KEEP";
/// What a save may write with, on any architecture that the C library or rustix may choose.
const CALLS: &str = "openat,write,fsync,fdatasync,renameat,renameat2,linkat,unlinkat,newfstatat,fstat,statx,\
                     ?rename,?link,?unlink,ftruncate";

fn old() -> Vec<u8> {
    b"old".repeat(40_000)
}

fn new() -> Vec<u8> {
    b"newer".repeat(30_000)
}

/// The child: not a test of its own, it does something only where the parent asks for it.
#[test]
fn child_saves() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let keep = if std::env::var_os(MODE).is_some_and(|mode| mode == "nothing") {
        Keep::Nothing
    } else {
        Keep::Previous
    };
    let mut store = FileStore::open(Path::new(&directory)).unwrap();
    assert_eq!(store.load().unwrap().unwrap(), old());
    // Tells the parent's strace where the save begins: this file is never there.
    assert!(fs::metadata("/rootseal-test-save-begins").is_err());
    let saved = store.save(&new(), keep);
    drop(store);
    saved.unwrap();
}

struct Run {
    directory: PathBuf,
    keep: &'static str,
}

impl Run {
    fn prepare(&self) {
        let _fresh = fs::remove_dir_all(&self.directory);
        let mut store = FileStore::open(&self.directory).unwrap();
        store.load().unwrap();
        store.save(b"older", Keep::Previous).unwrap();
        store.save(&old(), Keep::Previous).unwrap();
    }

    fn child(&self, strace: &[&str]) -> Output {
        Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(self.log())
            .args(strace)
            .arg("--")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child_saves", "--test-threads=1", "--nocapture"])
            .env(DIRECTORY, &self.directory)
            .env(MODE, self.keep)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn log(&self) -> PathBuf {
        self.directory.with_extension("strace")
    }

    /// For each call, how many a clean run makes before the save and how many in all.
    fn count(&self) -> BTreeMap<String, (usize, usize)> {
        self.prepare();
        let output = self.child(&["-e", &format!("trace={CALLS},?stat,?lstat")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(self.log()).unwrap();
        let mut counts = BTreeMap::<String, (usize, usize)>::new();
        let mut saving = false;
        for line in log.lines() {
            let call = line.split_whitespace().nth(1).unwrap().split('(').next().unwrap().to_owned();
            let known = call.starts_with(|first: char| first.is_ascii_lowercase());
            if known && !line.contains("resumed>") {
                let count = counts.entry(call).or_default();
                count.1 += 1;
                if !saving {
                    count.0 += 1;
                }
            }
            saving |= line.contains("rootseal-test-save-begins");
        }
        assert!(saving, "the trace shows where the save begins");
        counts
    }

    /// What must hold whatever happened: one of the two vaults, whole, and no orphan after the next open.
    fn check(&self, what: &str, saved: bool) {
        let mut store = FileStore::open(&self.directory).unwrap();
        let bytes = store.load().unwrap().unwrap_or_else(|| panic!("{what}: no vault left"));
        assert!(bytes == old() || bytes == new(), "{what}: a vault that nobody saved");
        assert!(!saved || bytes == new(), "{what}: saved, and gone");
        if bytes == new() && self.keep == "previous" {
            assert_eq!(fs::read(self.directory.join("vault.rseal.1")).unwrap(), old(), "{what}");
        }
        if bytes == new() && self.keep == "nothing" {
            assert!(
                !self.directory.join("vault.rseal.1").exists(),
                "{what}: the previous one is still there"
            );
        }
        for entry in fs::read_dir(&self.directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(matches!(name.as_str(), "lock" | "vault.rseal" | "vault.rseal.1"), "{what}: left {name}");
        }
        // The next save works.
        store.save(b"next", Keep::Previous).unwrap();
    }
}

fn every_fault(keep: &'static str) {
    assert!(
        Command::new("strace").arg("-V").output().is_ok(),
        "this test needs strace (`make deps` installs it)"
    );
    let base = std::env::temp_dir().join(format!("rootseal-faults-{keep}-{}", std::process::id()));
    let run = Run { directory: base, keep };
    let counts = run.count();
    for expected in ["openat", "write", "fsync", "unlinkat"] {
        assert!(counts.get(expected).is_some_and(|(before, all)| all > before), "{expected}: {counts:?}");
    }
    let mut failed = 0;
    for (call, (before, all)) in &counts {
        for nth in before + 1..=*all {
            for fault in ["error=ENOSPC", "error=EIO", "signal=KILL"] {
                run.prepare();
                let what = format!("{keep}: {fault} in {call} {} of {}", nth - before, all - before);
                let output = run.child(&["-e", &format!("inject={call}:{fault}:when={nth}")]);
                // The harness itself writes to stdout after the save: its failure is not the save's.
                let saved = output.status.success();
                failed += usize::from(!saved);
                run.check(&what, saved);
            }
        }
    }
    assert!(failed > 20, "faults were injected: {failed}");
    fs::remove_dir_all(&run.directory).unwrap();
    fs::remove_file(run.log()).unwrap();
}

#[test]
fn a_save_that_keeps_the_previous_vault_survives_every_fault() {
    every_fault("previous");
}

#[test]
fn a_save_that_keeps_nothing_survives_every_fault() {
    every_fault("nothing");
}
