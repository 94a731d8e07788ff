//! How far the audit log goes, as the vault has sealed it.

use super::*;

const ANCHOR: LogAnchor = LogAnchor { seq: 57, head: [0xab; 32] };

fn edited(vault: &UnlockedVault) -> Staged {
    let mut draft = vault.edit();
    draft.add_account(account("more", "777788889999")).unwrap();
    draft.seal().unwrap()
}

#[test]
fn an_anchor_is_sealed_with_a_change_and_stays_through_the_next() {
    let mut vault = sample();
    assert_eq!(vault.index().log(), None);
    let (plain, salt) = (edited(&vault), edited(&vault).header().salt);
    let before = plain.header().salt;
    let staged = vault.anchor(plain, ANCHOR).unwrap();
    // The key of an index is for one message.
    assert!(staged.header().salt != before && staged.header().salt != salt);
    let bytes = staged.bytes().to_vec();
    vault.accept(staged).unwrap();
    assert_eq!(vault.index().log(), Some(ANCHOR));
    let mut again = reopen(&bytes, None).unwrap();
    assert_eq!(again.index().log(), Some(ANCHOR));
    assert!(again.index().account_named("more").is_some());
    let key = TOKEN.guard_key(again.header()).unwrap();
    let mut draft = again.guard(key).unwrap().edit();
    draft.remove_account(draft.index().account_named("prod").unwrap().id).unwrap();
    let staged = draft.seal().unwrap();
    assert_eq!(reopen(staged.bytes(), None).unwrap().index().log(), Some(ANCHOR));
}

#[test]
fn an_anchor_belongs_to_the_state_that_the_change_was_made_from() {
    let mut vault = sample();
    let (first, second) = (edited(&vault), edited(&vault));
    vault.accept(first).unwrap();
    assert_eq!(vault.anchor(second, ANCHOR).map(|_staged| ()), Err(VaultError::Outdated));
}

#[test]
fn a_new_vault_is_anchored_before_it_is_saved() {
    let new = NewVault::create(vec![TOKEN.slot("alice")], Thresholds::ONE).unwrap().anchor(ANCHOR).unwrap();
    let vault = reopen(new.bytes(), None).unwrap();
    assert_eq!((vault.index().log(), vault.generation()), (Some(ANCHOR), 1));
    let root = |root: crate::secret::AuditKey| root.with(<[u8]>::to_vec);
    let locked = SealedVault::parse(new.bytes().to_vec()).unwrap().check(None).unwrap();
    let key = TOKEN.unlock_key(locked.header()).unwrap();
    assert_eq!(root(new.audit_root()), root(locked.audit_root(&key)));
}

#[test]
fn no_anchor_is_of_no_record() {
    let vault = sample();
    let nothing = LogAnchor { seq: 0, ..ANCHOR };
    let staged = vault.anchor(edited(&vault), nothing).unwrap();
    assert_eq!(reopen(staged.bytes(), None).map(|_vault| ()), Err(VaultError::Damaged(Part::Index)));
}

#[test]
fn a_change_of_keys_is_anchored_under_the_new_ones_also_when_the_vault_is_locked_by_then() {
    let rekeyed = || {
        let mut vault = sample();
        let old = vault.audit_root_for_tests();
        let key = TOKEN.guard_key(vault.header()).unwrap();
        let mut draft = vault.guard(key).unwrap().edit();
        draft.rekey_at_seal().unwrap();
        let staged = draft.seal().unwrap();
        (vault, staged, old)
    };
    let root = |root: crate::secret::AuditKey| root.with(<[u8]>::to_vec);
    let check = |staged: Staged, old: Vec<u8>| {
        let new = root(staged.audit_root().unwrap());
        let vault = reopen(staged.bytes(), None).unwrap();
        assert_eq!((vault.index().log(), vault.header().epoch()), (Some(ANCHOR), 2));
        assert_eq!(new, vault.audit_root_for_tests());
        assert_ne!(new, old);
    };
    let (vault, staged, old) = rekeyed();
    check(vault.anchor(staged, ANCHOR).unwrap(), old);
    let (vault, staged, old) = rekeyed();
    drop(vault.lock());
    check(staged.anchor_alone(ANCHOR).unwrap(), old);
    // Any other change needs the vault's key.
    let vault = sample();
    let staged = edited(&vault).anchor_alone(ANCHOR).unwrap();
    assert!(staged.audit_root().is_none());
    assert_eq!(reopen(staged.bytes(), None).unwrap().index().log(), None);
}

impl UnlockedVault {
    fn audit_root_for_tests(&self) -> Vec<u8> {
        audit::root(&self.key, self.header()).with(<[u8]>::to_vec)
    }
}
