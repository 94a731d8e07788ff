//! Drafts: what they change, what they refuse, and that nothing happens before they are accepted.

use super::*;

fn seal_and_accept(vault: &mut UnlockedVault, edit: impl FnOnce(&mut Draft<'_>)) -> Staged {
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    edit(&mut draft);
    draft.seal().unwrap()
}

#[test]
fn a_change_of_names_leaves_the_manifest_as_it_was() {
    let mut vault = sample();
    let manifest = vault.image.manifest().to_vec();
    let mut draft = vault.edit();
    let id = draft.add_account(account("third", PROD)).unwrap();
    draft.add_profile(profile("third-root", id)).unwrap();
    draft.relabel_slot(draft.header().keyslots()[0].id(), "renamed".to_owned()).unwrap();
    let staged = draft.seal().unwrap();
    assert!(vault.index().account_named("third").is_none(), "not before it is accepted");
    assert!(!staged.rekeyed());
    vault.accept(staged).unwrap();
    assert_eq!(vault.image.manifest(), manifest);
    assert_eq!(vault.generation(), 3);
    let vault = reopen(vault.image.bytes(), None).unwrap();
    assert_eq!(vault.index().profile("third-root").unwrap().account, id);
    assert_eq!(vault.header().keyslots()[0].label(), "renamed");
}

#[test]
fn a_stale_change_is_not_accepted() {
    let mut vault = sample();
    let (first, second) = (vault.edit().seal().unwrap(), vault.edit().seal().unwrap());
    vault.accept(first).unwrap();
    assert_eq!(vault.accept(second), Err(VaultError::Outdated));
    assert_eq!(vault.generation(), 3);
}

#[test]
fn the_unlock_key_alone_changes_nothing_that_is_guarded() {
    let vault = sample();
    let prod = vault.index().account_named("prod").unwrap().id;
    let slot = vault.header().keyslots()[0].id();
    let guarded = vault.index().items()[0].id;
    let refused = |change: fn(&mut Draft<'_>, AccountRef, SlotId, ItemId) -> Result<(), VaultError>| {
        let mut draft = vault.edit();
        assert_eq!(change(&mut draft, prod, slot, guarded), Err(VaultError::GuardNeeded));
    };
    refused(|draft, prod, _, _| {
        draft.put(item(prod, Class::Guarded), &access_key(PROD, "AKIA2")).map(|_| ())
    });
    refused(|draft, prod, _, id| {
        let open = NewItem { replaces: Some(id), ..item(prod, Class::Open) };
        draft.put(open, &access_key(PROD, "AKIA2")).map(|_| ())
    });
    refused(|draft, _, _, id| draft.remove_item(id));
    refused(|draft, prod, _, _| draft.remove_account(prod));
    refused(|draft, _, _, _| draft.add_slot(Token(9).slot("bob")).map(|_| ()));
    refused(|draft, _, slot, _| draft.remove_slot(slot));
    refused(|draft, _, _, _| draft.set_thresholds(Thresholds::ONE));
    refused(|draft, _, _, _| draft.rekey_at_seal());
}

#[test]
fn an_account_goes_with_all_that_is_its() {
    let mut vault = sample();
    let staged = seal_and_accept(&mut vault, |draft| {
        let prod = draft.index().account_named("prod").unwrap().id;
        draft.remove_account(prod).unwrap();
    });
    vault.accept(staged).unwrap();
    let mut vault = reopen(vault.image.bytes(), Some(&vault.seen())).unwrap();
    assert_eq!((vault.index().accounts().len(), vault.index().profiles().len()), (1, 0));
    let left: Vec<_> = vault.index().items().to_vec();
    assert_eq!(left.len(), 2);
    let key = TOKEN.guard_key(vault.header()).unwrap();
    assert_eq!(secret_of(&vault.guard(key).unwrap().secret(left[1].id).unwrap()), b"secret of AKIATEST");
}

#[test]
fn an_account_finds_its_items_wherever_they_stand() {
    let mut vault = sample();
    let staged = seal_and_accept(&mut vault, |draft| {
        let [prod, test] = ["prod", "test"].map(|name| draft.index().account_named(name).unwrap().id);
        for number in 0..3 {
            draft.put(item(prod, Class::Open), &access_key(PROD, &format!("AKIAP{number}"))).unwrap();
            draft.put(item(test, Class::Open), &access_key(TEST, &format!("AKIAT{number}"))).unwrap();
        }
        let gone = draft.index().items_of(prod).nth(1).unwrap().id;
        draft.remove_item(gone).unwrap();
    });
    vault.accept(staged).unwrap();
    let vault = reopen(vault.image.bytes(), None).unwrap();
    for account in vault.index().accounts() {
        let of = |items: &mut dyn Iterator<Item = &Item>| items.map(|item| item.id).collect::<Vec<_>>();
        let all = of(&mut vault.index().items().iter().filter(|item| item.account == account.id));
        assert!(all.len() >= 3);
        assert_eq!(of(&mut vault.index().items_of(account.id)), all);
    }
    assert_eq!(vault.index().items_of(AccountRef::from_bytes([0; 16])).count(), 0);
}

#[test]
fn names_and_ids_are_checked() {
    let vault = sample();
    let mut draft = vault.edit();
    assert_eq!(draft.add_account(account("prod", PROD)), Err(VaultError::Exists));
    assert_eq!(draft.add_account(account("-x", PROD)), Err(VaultError::Invalid("account name")));
    assert_eq!(draft.add_account(account("x", "12")), Err(VaultError::Invalid("account id")));
    let prod = draft.index().account_named("prod").unwrap().id;
    assert_eq!(draft.add_profile(profile("prod-root", prod)), Err(VaultError::Exists));
    assert_eq!(draft.add_profile(profile("a/b", prod)), Err(VaultError::Invalid("profile name")));
    let nobody = AccountRef::from_bytes([0; 16]);
    assert_eq!(draft.add_profile(profile("new", nobody)), Err(VaultError::NotFound));
    assert_eq!(draft.remove_profile("nope"), Err(VaultError::NotFound));
    assert_eq!(draft.remove_item(ItemId::from_bytes([0; 16])), Err(VaultError::NotFound));
    let foreign = draft.put(item(prod, Class::Open), &totp(TEST));
    assert_eq!(foreign, Err(VaultError::Invalid("account of the secret")));
}

#[test]
fn a_spare_token_opens_both_locks() {
    let mut vault = sample();
    let staged = seal_and_accept(&mut vault, |draft| {
        draft.add_slot(Token(9).slot("alice")).unwrap();
    });
    vault.accept(staged).unwrap();
    let header = vault.header().clone();
    let spare = &header.keyslots()[1];
    let locked = vault.lock();
    let mut vault =
        locked.unlock(spare.unlock_key(&header, &Token(9).unlock()).unwrap()).map_err(|(_, e)| e).unwrap();
    vault.guard(spare.guard_key(&header, &Token(9).guard()).unwrap()).unwrap();
    assert_eq!((header.holders(Lock::Guard).len(), header.keyslots().len()), (1, 2));
}

#[test]
fn a_removed_token_opens_nothing_saved_since_and_the_others_need_not_be_there() {
    let mut vault = sample();
    let staged = seal_and_accept(&mut vault, |draft| {
        draft.add_slot(Token(9).slot("bob")).unwrap();
    });
    vault.accept(staged).unwrap();
    let (bob, old) = (vault.header().keyslots()[1].clone(), vault.header().clone());
    let old_key = bob.unlock_key(&old, &Token(9).unlock()).unwrap();
    let staged = seal_and_accept(&mut vault, |draft| draft.remove_slot(bob.id()).unwrap());
    assert!(staged.rekeyed());
    vault.accept(staged).unwrap();
    assert_eq!((vault.header().epoch(), vault.header().keyslots().len()), (2, 1));
    assert_eq!(bob.unlock_key(vault.header(), &Token(9).unlock()).map(|_| ()), {
        Err(VaultError::Damaged(Part::Keyslot))
    });
    let seen = vault.seen();
    let (locked, error) = vault.lock().unlock(old_key).map(|_| ()).expect_err("the old key opened it");
    assert_eq!(error, VaultError::Damaged(Part::HeaderMac));
    // Alice's token, which took no part in it, opens everything.
    let mut vault = reopen(locked.bytes(), Some(&seen)).unwrap();
    let items: Vec<_> = vault.index().items().to_vec();
    assert_eq!(secret_of(&vault.open_record(items[1].id).unwrap()), b"12345678901234567890");
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let guard = vault.guard(key).unwrap();
    assert_eq!(secret_of(&guard.secret(items[0].id).unwrap()), b"secret of AKIAPROD");
    assert_eq!(secret_of(&guard.secret(items[2].id).unwrap()), b"secret of AKIATEST");
}

#[test]
fn secrets_of_every_kind_of_token_open_the_vault() {
    let enrolled = |length: usize| {
        let secret = || TokenSecret::copy_from(&vec![8; length]);
        let new = NewSlot { unlock: secret(), guard: Some(secret()), ..TOKEN.slot("alice") };
        let vault = NewVault::create(vec![new], Thresholds::ONE)?.into_unlocked();
        let slot = &vault.header().keyslots()[0];
        slot.unlock_key(vault.header(), &secret())?;
        slot.guard_key(vault.header(), &secret()).map(|_| ())
    };
    for length in [20, 32, 48] {
        assert_eq!(enrolled(length), Ok(()), "{length}");
    }
    for length in [0, 19, 49] {
        assert_eq!(enrolled(length), Err(VaultError::Invalid("token secret")), "{length}");
    }
}

#[test]
fn the_last_guard_holder_stays() {
    let mut vault = sample();
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let id = vault.header().keyslots()[0].id();
    let mut draft = vault.guard(key).unwrap().edit();
    assert_eq!(draft.remove_slot(id), Err(VaultError::Invalid("number of keyslots")));
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    draft.add_slot(NewSlot { guard: None, ..Token(9).slot("bob") }).unwrap();
    assert_eq!(draft.remove_slot(id), Err(VaultError::Invalid("thresholds")));
    let unlock_only = NewSlot { guard: None, ..TOKEN.slot("alice") };
    assert_eq!(
        NewVault::create(vec![unlock_only], Thresholds::ONE).map(|_| ()),
        Err(VaultError::Invalid("thresholds"))
    );
}

#[test]
fn salts_are_fresh_at_each_save() {
    let vault = sample();
    let (one, two) = (vault.edit().seal().unwrap(), vault.edit().seal().unwrap());
    assert_ne!(one.image.header().salt, two.image.header().salt);
    assert_ne!(one.image.header().salt, vault.header().salt);
}
