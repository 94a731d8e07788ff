//! What somebody can do who has the file alone, or the file and the unlock key, but no token: nothing that
//! goes unseen.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

use super::super::header::Header;
use super::super::image::Image;
use super::super::index::Index;
use super::super::manifest::SlotEntry;
use super::super::shares::share_out;
use super::*;
use crate::crypto::{hash, random};

/// The parts that a holder of the unlock key can write.
struct Parts {
    header: Header,
    index: Index,
    manifest: Vec<u8>,
    records: Vec<Vec<u8>>,
}

fn parts(vault: &UnlockedVault) -> Parts {
    Parts {
        header: vault.header().clone(),
        index: vault.index.clone(),
        manifest: vault.image.manifest().to_vec(),
        records: vault.index.items.iter().map(|item| vault.image.record(item).to_vec()).collect(),
    }
}

/// A vault that is authentic as far as the unlock key goes.
fn forge(vault: &UnlockedVault, edit: impl FnOnce(&mut Parts)) -> UnlockedVault {
    let mut parts = parts(vault);
    parts.header.generation += 1;
    parts.header.salt = random::public().unwrap();
    edit(&mut parts);
    let records: Vec<_> = parts.records.iter().map(Vec::as_slice).collect();
    for (item, record) in parts.index.items.iter_mut().zip(&records) {
        item.length = record.len();
    }
    parts.index.manifest_hash = hash::sha256(&[&parts.manifest]);
    parts.index.records_hash = hash::sha256(&records);
    let image = Image::assemble(parts.header, &vault.key, &parts.index, &parts.manifest, &records).unwrap();
    let locked = SealedVault::parse(image.bytes().to_vec()).unwrap().check(Some(&vault.seen())).unwrap();
    let key = vault.key.with(UnlockKey::copy_from);
    locked.unlock(key).map_err(|(_, error)| error).expect("authentic to a holder of the unlock key")
}

fn original() -> (UnlockedVault, GuardKey) {
    let vault = sample();
    let key = TOKEN.guard_key(vault.header()).unwrap();
    (vault, key)
}

/// What the guard says to a forged vault as a whole.
fn guarded(edit: impl FnOnce(&mut Parts)) -> VaultError {
    let (vault, key) = original();
    forge(&vault, edit).guard(key).map(|_guard| ()).expect_err("a forged vault opened")
}

/// What the guard says to a record of a vault whose manifest it cannot fault.
fn record(edit: impl FnOnce(&mut Parts)) -> VaultError {
    let (vault, key) = original();
    let mut forged = forge(&vault, edit);
    let id = forged.index.items[0].id;
    let guard = forged.guard(key).expect("the manifest covers no account");
    guard.secret(id).map(|_secret| ()).expect_err("a forged record opened")
}

#[test]
fn the_forgery_itself_is_sound() {
    let (vault, key) = original();
    let mut forged = forge(&vault, |parts| parts.index.accounts[0].name = "renamed".to_owned());
    let id = forged.index.items[0].id;
    assert_eq!(secret_of(&forged.guard(key).unwrap().secret(id).unwrap()), b"secret of AKIAPROD");
}

#[test]
fn a_secret_passed_off_as_another_accounts_is_damage() {
    let damaged = VaultError::Damaged(Part::Record);
    let moved = record(|parts| {
        let (prod, test) = (parts.index.items[0].account, parts.index.items[2].account);
        parts.index.items[0].account = test;
        parts.index.items[2].account = prod;
    });
    assert_eq!(moved, damaged);
    let swapped = record(|parts| parts.records.swap(0, 2));
    assert_eq!(swapped, damaged);
    let renumbered = record(|parts| parts.index.accounts[0].account_id = TEST.to_owned());
    assert_eq!(renumbered, damaged);
    let demoted = record(|parts| parts.index.accounts[0].user = Some("intern".to_owned()));
    assert_eq!(demoted, damaged);
    let relocated = record(|parts| parts.index.accounts[0].partition = "aws-cn".to_owned());
    assert_eq!(relocated, damaged);
}

#[test]
fn a_record_of_the_forgers_own_is_damage() {
    let (vault, _) = original();
    let keys = super::super::record::Keys { unlock: &vault.key, guard: Some(&GuardKey::copy_from(&[1; 32])) };
    let own = |parts: &mut Parts| {
        let payload = access_key(PROD, "AKIAPROD");
        parts.records[0] = keys.seal(parts.header.vault, &parts.index.items[0], &payload.encode()).unwrap();
    };
    assert_eq!(record(own), VaultError::Damaged(Part::Record));
    let open = |parts: &mut Parts| {
        parts.index.items[0].class = Class::Open;
        own(parts);
    };
    assert_eq!(guarded(open), VaultError::Damaged(Part::Index));
}

#[test]
fn guarded_items_cannot_be_dropped_added_or_set_back() {
    let damaged = VaultError::Damaged(Part::Index);
    let dropped = guarded(|parts| {
        let id = parts.index.items[2].id;
        parts.index.retain(|_| true, |_| true, |item| item.id != id).unwrap();
        parts.records.pop();
    });
    assert_eq!(dropped, damaged);
    let added = guarded(|parts| {
        let mut item = parts.index.items[0].clone();
        item.id = ItemId::from_bytes([9; 16]);
        parts.index.put_item(item).unwrap();
        parts.records.push(parts.records[0].clone());
    });
    assert_eq!(added, damaged);
    assert_eq!(guarded(|parts| parts.index.items[0].version += 1), damaged);
}

#[test]
fn an_older_version_of_a_record_cannot_come_back() {
    let (mut vault, _) = original();
    let old = parts(&vault);
    let key = || TOKEN.guard_key(vault.header()).unwrap();
    let (first, second) = (key(), key());
    let replaced = vault.index.items[0].clone();
    let mut draft = vault.guard(first).unwrap().edit();
    let new = NewItem { replaces: Some(replaced.id), ..item(replaced.account, Class::Guarded) };
    draft.put(new, &access_key(PROD, "AKIANEW")).unwrap();
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
    assert_eq!(vault.index.items[0].version, 2);

    let mut replay = forge(&vault, |parts| parts.records[0] = old.records[0].clone());
    let guard = replay.guard(second).unwrap();
    assert!(matches!(guard.secret(replaced.id), Err(VaultError::Damaged(Part::Record))));

    // All of the older state at once is consistent in itself: only the version seen before tells.
    let mut replay = forge(&vault, |parts| {
        (parts.index, parts.manifest, parts.records) = (old.index, old.manifest, old.records);
    });
    let key = TOKEN.guard_key(vault.header()).unwrap();
    assert!(matches!(
        replay.guard(key).map(|_| ()),
        Err(VaultError::Rollback(Reversal::Manifest { found: 2, seen: 3 }))
    ));
}

/// Two changes from one state, of which one was saved: the other's record has the right keys and version.
#[test]
fn a_record_that_was_sealed_and_never_accepted_is_damage() {
    let (mut vault, _) = original();
    let replaced = vault.index.items[0].clone();
    let mut change = |id: &str| {
        let key = TOKEN.guard_key(vault.header()).unwrap();
        let mut draft = vault.guard(key).unwrap().edit();
        let new = NewItem { replaces: Some(replaced.id), ..item(replaced.account, Class::Guarded) };
        draft.put(new, &access_key(PROD, id)).unwrap();
        draft.seal().unwrap()
    };
    let (saved, dropped) = (change("AKIASAVED"), change("AKIALEFT1"));
    let stray = dropped.image.record(&dropped.index.items[0]).to_vec();
    vault.accept(saved).unwrap();
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let mut forged = forge(&vault, |parts| parts.records[0] = stray);
    let guard = forged.guard(key).unwrap();
    assert_eq!(guard.secret(replaced.id).map(|_| ()), Err(VaultError::Damaged(Part::Record)));
}

/// A keyslot of token 9, with these keys in it.
fn enrolled(holder: &str, header: &Header, unlock: &UnlockKey, guard: &GuardKey) -> (Keyslot, SlotEntry) {
    let (slot, entry) = Token(9).slot(holder).enrol(header.vault).unwrap();
    let mut alone = Header { slots: vec![slot], ..header.clone() };
    share_out(&mut alone, std::slice::from_ref(&entry), unlock, guard).unwrap();
    (alone.slots.remove(0), entry)
}

#[test]
fn keyslots_and_epoch_are_the_manifests() {
    let (vault, key) = original();
    let fake = GuardKey::copy_from(&[1; 32]);
    let (slot, _) = enrolled("mallory", vault.header(), &vault.key, &fake);
    let mut forged = forge(&vault, |parts| parts.header.slots.push(slot.clone()));
    assert_eq!(forged.guard(key).map(|_| ()), Err(VaultError::Damaged(Part::Header)));
    let damaged = VaultError::Damaged(Part::Header);
    assert_eq!(guarded(|parts| parts.header.slots[0] = slot), damaged);
    assert_eq!(guarded(|parts| parts.header.slots[0].holder = "bob".to_owned()), damaged);
    assert_eq!(guarded(|parts| parts.header.slots[0].binding = vec![0xa1]), damaged);
    assert_eq!(guarded(|parts| parts.header.slots[0].created += 1), damaged);
    assert_eq!(guarded(|parts| parts.header.epoch += 1), VaultError::Damaged(Part::Manifest));
    assert_eq!(
        guarded(|parts| parts.manifest = vec![0; parts.manifest.len()]),
        VaultError::Damaged(Part::Manifest)
    );
}

#[test]
fn a_vault_made_by_somebody_with_the_file_alone_does_not_open() {
    let vault = sample();
    let header = vault.header();
    // Their own keys, sealed to key pairs of their own, under a guess of the token's secret.
    let mut forged = header.clone();
    let theirs = UnlockKey::copy_from(&[5; 32]);
    let fake = GuardKey::copy_from(&[6; 32]);
    let (slot, entry) = enrolled("alice", header, &theirs, &fake);
    forged.slots[0].unlock = slot.unlock.clone();
    assert_eq!(TOKEN.unlock_key(&forged).map(|_| ()), Err(VaultError::WrongToken));
    // The true wrapped seed, and a share sealed to a public key: the true one is nowhere in the file.
    let mut forged = header.clone();
    let id = header.slots[0].id;
    theirs
        .with(|key| forged.slots[0].unlock.reseal(header.vault, 1, id, Lock::Unlock, &entry.unlock, key))
        .unwrap();
    assert_eq!(TOKEN.unlock_key(&forged).map(|_| ()), Err(VaultError::Damaged(Part::Keyslot)));
    let public = &Image::parse(vault.image.bytes().to_vec()).unwrap();
    let manifest = TOKEN.guard_key(header).unwrap();
    let manifest =
        super::super::manifest::Manifest::open(&manifest, header, &vault.index, public.manifest()).unwrap();
    let file = vault.image.bytes();
    let shown = |needle: &[u8]| file.windows(needle.len()).any(|window| window == needle);
    assert!(!shown(&manifest.slots[0].unlock[..32]) && shown(&header.slots[0].salt));
}

#[test]
fn shares_are_bound_to_vault_epoch_slot_and_lock() {
    let vault = sample();
    let header = vault.header();
    let damaged = Err(VaultError::Damaged(Part::Keyslot));
    let mut other = header.clone();
    other.epoch += 1;
    assert_eq!(TOKEN.unlock_key(&other).map(|_| ()), damaged);
    let wrong = Err(VaultError::WrongToken);
    let mut other = header.clone();
    other.vault = VaultId::from_bytes([0; 16]);
    assert_eq!(TOKEN.unlock_key(&other).map(|_| ()), wrong);
    let mut other = header.clone();
    other.slots[0].unlock = header.slots[0].guard.clone().unwrap();
    assert_eq!(TOKEN.unlock_key(&other).map(|_| ()), wrong);
    let slot = &header.slots[0];
    assert_eq!(slot.unlock_key(header, &TOKEN.guard()).map(|_| ()), wrong);
    assert_eq!(slot.unlock_key(header, &Token(8).unlock()).map(|_| ()), wrong);
    let mut other = header.clone();
    other.slots[0].label = "renamed".to_owned();
    assert!(TOKEN.unlock_key(&other).is_ok(), "a label may change without the token");
}

#[test]
fn a_machine_refuses_what_is_older_or_other_than_it_saw() {
    let mut vault = sample();
    let first = vault.image.bytes().to_vec();
    let mut draft = vault.edit();
    draft.remove_profile("prod-root").unwrap();
    let staged = draft.seal().unwrap();
    let fork = vault.edit().seal().unwrap();
    vault.accept(staged).unwrap();
    let seen = vault.seen();
    assert_eq!((seen.generation, seen.manifest_version), (3, 2));
    assert_eq!(Seen::decode(&seen.encode()), Ok(seen));
    let check = |bytes: &[u8]| reopen(bytes, Some(&seen)).map(|_| ());
    assert_eq!(check(vault.image.bytes()), Ok(()));
    let rollback = |reversal| Err(VaultError::Rollback(reversal));
    assert_eq!(check(&first), rollback(Reversal::Generation { found: 2, seen: 3 }));
    assert_eq!(check(fork.bytes()), rollback(Reversal::Fork { generation: 3 }));
    assert_eq!(check(sample().image.bytes()), rollback(Reversal::OtherVault));
    let epoch = Seen { epoch: 2, ..seen };
    assert_eq!(
        reopen(vault.image.bytes(), Some(&epoch)).map(|_| ()),
        rollback(Reversal::Epoch { found: 1, seen: 2 })
    );
    assert_eq!(Seen::decode(&[]), Err(VaultError::Damaged(Part::State)));
}
