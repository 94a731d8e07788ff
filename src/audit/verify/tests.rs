use super::*;
use crate::audit::Note;
use crate::audit::log::tests::{Folder, note};
use crate::audit::record::unhex;
use crate::audit::record::{Record, add_mac};
use crate::audit::session::for_tests;
use std::sync::Arc;

/// Unlocked from record 2 to 4, locked, unlocked again from 6 on: two files.
struct Scene {
    folder: Folder,
    log: Log,
    session: Arc<Session>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let path = folder.0.join("audit.log");
        let mut log = Log::open(&path, u64::MAX).unwrap();
        let session = for_tests(1, 2);
        log.append(&[note("import")]).unwrap();
        log.append(&[opening(&session), note("a"), note("b")]).unwrap();
        drop(session);
        log.append(&[note("locked")]).unwrap();
        let mut log = Log::open(&path, 1).unwrap();
        let session = for_tests(1, 2);
        log.append(&[opening(&session), note("c")]).unwrap();
        Self { folder, log, session }
    }

    fn path(&self) -> PathBuf {
        self.log.path.clone()
    }

    fn known(&self, sealed: Option<Anchor>) -> Known {
        Known { session: Arc::downgrade(&self.session), sealed }
    }

    fn verdict(&self, sealed: Option<Anchor>) -> Verdict {
        Snapshot::of(&self.path()).unwrap().verify(&self.known(sealed)).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let text: String = ["audit.log.1", "audit.log"]
            .map(|name| std::fs::read_to_string(self.folder.0.join(name)).unwrap())
            .concat();
        text.lines().map(str::to_owned).collect()
    }

    /// Puts other lines into the files' place, five into the first.
    fn put(&self, lines: &[String]) {
        let (first, second) = lines.split_at(lines.len().min(5));
        let file = |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        std::fs::write(self.folder.0.join("audit.log.1"), file(first)).unwrap();
        std::fs::write(self.path(), file(second)).unwrap();
    }

    fn fault_of(&self, lines: &[String], sealed: Option<Anchor>) -> Option<u64> {
        self.put(lines);
        self.verdict(sealed).fault.map(|fault| fault.record)
    }
}

fn opening(session: &Arc<Session>) -> Note {
    Note { opens: Some(Arc::clone(session)), ..note("unlock") }
}

/// As somebody without a key would: hashes anew, MACs as they are.
fn chained(lines: &[String]) -> Vec<String> {
    let mut place = Anchor::START;
    let mut done = Vec::new();
    for line in lines {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["seq"] = place.after(b"").seq.into();
        record["prev"] = place.hex().into();
        let mut record: Record<Entry> = serde_json::from_value(record).unwrap();
        let mac = record.mac.take();
        let mut bytes = serde_json::to_vec(&record).unwrap();
        if let Some(mac) = mac {
            add_mac(&mut bytes, &unhex(&mac).unwrap());
        }
        place = place.after(&bytes);
        done.push(String::from_utf8(bytes).unwrap());
    }
    done
}

#[test]
fn a_whole_log_is_sound_with_the_key_and_without() {
    let scene = Scene::new("whole");
    let verdict = scene.verdict(Some(scene.log.place()));
    assert_eq!((verdict.fault, verdict.first, verdict.last), (None, 1, scene.log.place()));
    assert_eq!((verdict.verified, verdict.unverified, verdict.with_vault), (5, 0, true));
    let locked = Snapshot::of(&scene.path()).unwrap().verify(&Known::default()).unwrap();
    assert_eq!((locked.fault, locked.verified, locked.unverified, locked.with_vault), (None, 0, 5, false));
    // A file that was put away is not missed, the key is still good for the next.
    std::fs::remove_file(scene.folder.0.join("audit.log.1")).unwrap();
    let rest = scene.verdict(Some(scene.log.place()));
    assert_eq!((rest.fault, rest.first, rest.verified), (None, 6, 2));
}

#[test]
fn the_first_bad_record_is_named() {
    let scene = Scene::new("bad");
    let good = scene.lines();
    assert_eq!(good.len(), 7);
    for at in 0..good.len() {
        let record = at as u64 + 1;
        let mut edited = good.clone();
        edited[at] = edited[at].replace("\"uid\":0", "\"uid\":1");
        // An edited record without a MAC shows at the next one; the last one has a MAC.
        let shows = if [1, 5].contains(&record) { record + 1 } else { record };
        assert_eq!(scene.fault_of(&edited, None), Some(shows), "edited {record}");
        let mut swapped = good.clone();
        if at + 1 < good.len() {
            swapped.swap(at, at + 1);
            assert_eq!(scene.fault_of(&swapped, None), Some(record), "swapped {record}");
        }
        let mut without = good.clone();
        without.remove(at);
        let last = record == 7;
        assert_eq!(scene.fault_of(&without, None), (!last).then_some(record), "without {record}");
        let written = Some(scene.log.place());
        assert_eq!(scene.fault_of(&without, written), Some(record), "without {record}, which was sealed");
    }
    assert_eq!(scene.fault_of(&good, Some(scene.log.place())), None);
}

#[test]
fn a_chain_that_was_written_anew_without_the_key_shows() {
    let scene = Scene::new("anew");
    let good = scene.lines();
    let mut edited = good.clone();
    edited[3] = edited[3].replace("\"uid\":0", "\"uid\":1");
    assert_eq!(scene.fault_of(&chained(&edited), None), Some(4));
    let mut without = good.clone();
    without.remove(2);
    assert_eq!(scene.fault_of(&chained(&without), None), Some(3));
    // What was written while it was locked is bound in by the next unlock.
    let mut unbound = good.clone();
    unbound[4] = unbound[4].replace("\"uid\":0", "\"uid\":1");
    assert_eq!(scene.fault_of(&chained(&unbound), None), Some(6));
    // Without MACs, a session is one of a vault that was never opened; what the vault has sealed tells.
    let bare: Vec<_> = good
        .iter()
        .map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            let members = record.as_object_mut().unwrap();
            members.remove("mac");
            members.remove("key");
            record.to_string()
        })
        .collect();
    assert_eq!(scene.fault_of(&chained(&bare), Some(scene.log.place())), Some(7));
    let mut half = good.clone();
    half[1] = bare[1].clone();
    assert_eq!(scene.fault_of(&chained(&half), None), Some(3));
    // Nor does it help to claim that the keys are old ones.
    let old: Vec<_> = good.iter().map(|line| line.replace("\"epoch\":2", "\"epoch\":1")).collect();
    assert_eq!(scene.fault_of(&chained(&old), None), Some(2));
}

#[test]
fn old_keys_are_vouched_for_as_far_as_the_vault_has_sealed() {
    let scene = Scene::new("old");
    let newer = for_tests(9, 3);
    let verify = |sealed: Option<Anchor>| {
        let known = Known { session: Arc::downgrade(&newer), sealed };
        Snapshot::of(&scene.path()).unwrap().verify(&known).unwrap()
    };
    let verdict = verify(Some(scene.log.place()));
    assert_eq!((verdict.fault, verdict.verified, verdict.unverified), (None, 0, 5));
    assert_eq!(verify(None).fault.unwrap().record, 2);
    let early = Anchor { seq: 4, ..scene.log.place() };
    assert_eq!(verify(Some(early)).fault.unwrap().record, 4);
}

#[test]
fn a_change_of_keys_that_never_came_is_no_fault() {
    let mut scene = Scene::new("never");
    let never = for_tests(9, 3);
    scene.log.append(&[Note { opens: Some(never), ..note(REKEYED) }]).unwrap();
    scene.log.append(&[Note { opens: Some(Arc::clone(&scene.session)), ..note("d") }, note("e")]).unwrap();
    let verdict = Snapshot::of(&scene.path()).unwrap().verify(&scene.known(None)).unwrap();
    assert_eq!((verdict.fault, verdict.unverified), (None, 1));
    // That name alone opens no door.
    let never = for_tests(9, 3);
    scene.log.append(&[Note { opens: Some(never), ..note(REKEYED) }, note("f")]).unwrap();
    let verdict = Snapshot::of(&scene.path()).unwrap().verify(&scene.known(None)).unwrap();
    assert_eq!(verdict.fault.unwrap().record, scene.log.place().seq);
}

#[test]
fn a_change_of_keys_that_came_at_the_second_try_is_no_fault() {
    let mut scene = Scene::new("second-try");
    let before = scene.log.place();
    scene.log.append(&[Note { opens: Some(for_tests(9, 3)), ..note(REKEYED) }]).unwrap();
    let first_try = scene.log.place().seq;
    let now = for_tests(8, 3);
    scene.log.append(&[Note { opens: Some(Arc::clone(&now)), ..note(REKEYED) }, note("g")]).unwrap();
    let verify = |sealed: Option<Anchor>| {
        let known = Known { session: Arc::downgrade(&now), sealed };
        Snapshot::of(&scene.path()).unwrap().verify(&known).unwrap()
    };
    let verdict = verify(Some(scene.log.place()));
    assert_eq!((verdict.fault, verdict.verified), (None, 2));
    // Only what the vault has sealed is vouched for.
    assert_eq!(verify(Some(before)).fault.unwrap().record, first_try);
}

#[test]
fn a_log_that_lost_what_was_sealed_is_told_from_one_that_did_not() {
    let scene = Scene::new("lost");
    let good = scene.lines();
    let sealed = |count: usize| {
        let place = good[..count].iter().fold(Anchor::START, |place, line| place.after(line.as_bytes()));
        (place, scene.log.lost_since(place).unwrap())
    };
    for count in 0..=good.len() {
        assert_eq!(sealed(count).1, None, "{count}");
    }
    let (place, _) = sealed(7);
    // Cut off at the end, and unlocked again.
    scene.put(&good[..6]);
    let mut log = Log::open(&scene.path(), u64::MAX).unwrap();
    let session = for_tests(1, 2);
    log.append(&[opening(&session), note("d")]).unwrap();
    let lost = log.lost_since(place).unwrap().unwrap();
    assert_eq!((lost.from, lost.seq, lost.head.clone()), (7, 7, place.hex()));
    // It stays to be seen, also when nothing else does.
    let mut found = note("log-lost");
    found.entry.lost = Some(lost.clone());
    log.append(&[found]).unwrap();
    assert_eq!(log.lost(), Some(&lost));
    assert_eq!(Log::open(&scene.path(), 1).unwrap().lost(), Some(&lost));
    let verdict = log.snapshot().unwrap().verify(&Known::default()).unwrap();
    assert_eq!(verdict.fault.unwrap().record, 7);
    // Gone altogether, in both files.
    std::fs::remove_file(scene.folder.0.join("audit.log.1")).unwrap();
    std::fs::remove_file(scene.path()).unwrap();
    let mut log = Log::open(&scene.path(), u64::MAX).unwrap();
    log.append(&[opening(&session)]).unwrap();
    assert_eq!(log.lost_since(place).unwrap().unwrap().from, 1);
}

#[test]
fn a_log_that_is_not_as_the_daemon_left_it_shows() {
    let scene = Scene::new("left");
    let written = |scene: &Scene| scene.log.snapshot().unwrap().verify(&scene.known(None)).unwrap();
    assert_eq!(written(&scene).fault, None);
    let mut lines = scene.lines();
    lines.pop();
    scene.put(&lines);
    assert_eq!(written(&scene).fault.unwrap().record, 7);
}

#[test]
fn a_line_without_an_end_holds_nobody_up() {
    let folder = Folder::new("endless");
    let path = folder.0.join("audit.log");
    std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    let verdict = Snapshot::of(&path).unwrap().verify(&Known::default()).unwrap();
    assert_eq!(verdict.fault.unwrap().record, 1);
    let mut seen = 0;
    Snapshot::of(&path)
        .unwrap()
        .select(&super::super::Filter::default(), |_line| {
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert!(seen <= 1);
}
