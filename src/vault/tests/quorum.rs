//! Thresholds over holders.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

use super::*;

fn holder(number: u8) -> String {
    format!("holder {number}")
}

/// A vault of `count` holders, each with the token of their number, and these thresholds.
fn shared(count: u8, unlock: u64, guard: u64) -> UnlockedVault {
    let mut vault =
        NewVault::create(vec![Token(1).slot(&holder(1))], Thresholds::ONE).unwrap().into_unlocked();
    let key = Token(1).guard_key(vault.header()).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    let prod = draft.add_account(account("prod", PROD)).unwrap();
    draft.put(item(prod, Class::Guarded), &access_key(PROD, "AKIAPROD")).unwrap();
    for number in 2..=count {
        draft.add_slot(Token(number).slot(&holder(number))).unwrap();
    }
    draft.set_thresholds(Thresholds::new(unlock, guard, count.into()).unwrap()).unwrap();
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
    vault
}

/// Each token's slot is that with its number.
fn slot(header: &Header, number: u8) -> &Keyslot {
    &header.keyslots()[usize::from(number) - 1]
}

fn collect(header: &Header, lock: Lock, tokens: impl IntoIterator<Item = u8>) -> Collected {
    let mut collected = Collected::new(header, lock);
    for number in tokens {
        let secret = match lock {
            Lock::Unlock => Token(number).unlock(),
            Lock::Guard => Token(number).guard(),
        };
        collected.add(slot(header, number).share(header, lock, &secret).unwrap());
    }
    collected
}

fn guard_key(header: &Header, tokens: impl IntoIterator<Item = u8>) -> Result<GuardKey, VaultError> {
    collect(header, Lock::Guard, tokens).guard_key()
}

fn opened(bytes: &[u8], tokens: impl IntoIterator<Item = u8>) -> Result<UnlockedVault, VaultError> {
    let locked = SealedVault::parse(bytes.to_vec())?.check(None)?;
    let key = collect(locked.header(), Lock::Unlock, tokens).unlock_key()?;
    locked.unlock(key).map_err(|(_locked, error)| error)
}

#[test]
fn any_that_suffice_open_both_locks_and_fewer_open_none() {
    for count in 1..=5_u8 {
        for guard in 1..=count {
            for unlock in 1..=guard {
                let bytes = shared(count, unlock.into(), guard.into()).lock().bytes().to_vec();
                for chosen in 1..1_u32 << count {
                    let tokens = || (1..=count).filter(move |number| chosen >> (number - 1) & 1 == 1);
                    let enough = |needed: u8| chosen.count_ones() >= u32::from(needed);
                    let vault = opened(&bytes, tokens());
                    if !enough(unlock) {
                        assert_eq!(vault.map(|_| ()), Err(VaultError::NotEnough));
                        continue;
                    }
                    let mut vault = vault.unwrap();
                    let key = guard_key(vault.header(), tokens());
                    if !enough(guard) {
                        assert_eq!(key.map(|_| ()), Err(VaultError::NotEnough));
                        continue;
                    }
                    let id = vault.index().items()[0].id;
                    let secret = vault.guard(key.unwrap()).unwrap().secret(id).unwrap();
                    assert_eq!(secret_of(&secret), b"secret of AKIAPROD");
                }
            }
        }
    }
}

#[test]
fn one_holder_counts_once_with_all_their_tokens() {
    let mut vault = shared(3, 1, 2);
    let key = guard_key(vault.header(), [1, 2]).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    draft.add_slot(Token(4).slot(&holder(1))).unwrap();
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
    let header = vault.header().clone();
    assert_eq!(guard_key(&header, [1, 4, 1]).map(|_| ()), Err(VaultError::NotEnough));
    assert_eq!(header.holders(Lock::Guard), ["holder 1", "holder 2", "holder 3"]);
    for pair in [[1, 3], [4, 3], [4, 2]] {
        vault.guard(guard_key(&header, pair).unwrap()).unwrap();
    }
}

#[test]
fn a_share_of_the_other_lock_or_of_another_sharing_does_not_count() {
    let mut vault = shared(3, 2, 2);
    let old = vault.header().clone();
    let mut collected = Collected::new(&old, Lock::Guard);
    collected.add(slot(&old, 1).share(&old, Lock::Unlock, &Token(1).unlock()).unwrap());
    assert_eq!(collected.missing(), 2);
    assert_eq!(collect(&old, Lock::Guard, [1, 2]).unlock_key().map(|_| ()), Err(VaultError::NoSuchLock));

    let key = guard_key(&old, [1, 2]).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    draft.add_slot(Token(4).slot(&holder(4))).unwrap();
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
    let new = vault.header().clone();
    let mut mixed = collect(&new, Lock::Guard, [1]);
    mixed.add(slot(&old, 2).share(&old, Lock::Guard, &Token(2).guard()).unwrap());
    let key = mixed.guard_key().unwrap();
    assert_eq!(vault.guard(key).map(|_| ()), Err(VaultError::Damaged(Part::Manifest)));
}

#[test]
fn thresholds_that_cannot_be_met_are_refused_and_so_is_removing_who_is_needed() {
    let mut vault = shared(2, 1, 2);
    let refused = Some(VaultError::Invalid("thresholds"));
    let key = guard_key(vault.header(), [1, 2]).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    assert_eq!(draft.set_thresholds(Thresholds::new(1, 3, 9).unwrap()).err(), refused);
    let key = guard_key(vault.header(), [1, 2]).unwrap();
    let id = slot(vault.header(), 2).id();
    let mut draft = vault.guard(key).unwrap().edit();
    assert_eq!(draft.remove_slot(id).err(), refused);
    let key = guard_key(vault.header(), [1, 2]).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    draft.set_thresholds(Thresholds::ONE).unwrap();
    draft.remove_slot(id).unwrap();
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
    let key = Token(1).guard_key(vault.header()).unwrap();
    vault.guard(key).unwrap();
}

/// Somebody with the unlock key alone lowers the threshold in the header: what the slots hold are parts still.
#[test]
fn a_lowered_threshold_makes_no_key_of_a_part() {
    let vault = shared(2, 1, 2);
    let mut header = vault.header().clone();
    header.thresholds = Thresholds::ONE;
    assert_eq!(header.validate_shares(), Err(VaultError::Invalid("share")));
    assert_eq!(guard_key(&header, [1]).map(|_| ()), Err(VaultError::Damaged(Part::Keyslot)));
}

#[test]
fn rekeyed_shares_open_nothing_that_was_saved_before_nor_the_other_way_round() {
    let mut vault = shared(3, 2, 2);
    let old = vault.header().clone();
    let bytes = vault.image.bytes().to_vec();
    let key = guard_key(&old, [1, 2]).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    draft.rekey_at_seal().unwrap();
    let staged = draft.seal().unwrap();
    assert!(staged.rekeyed());
    vault.accept(staged).unwrap();
    let new = vault.header().clone();
    assert_eq!(new.epoch(), old.epoch() + 1);
    let stale = guard_key(&old, [2, 3]).unwrap();
    assert_eq!(vault.guard(stale).map(|_| ()), Err(VaultError::Damaged(Part::Manifest)));
    vault.guard(guard_key(&new, [1, 3]).unwrap()).unwrap();
    // The old file still opens, with the old shares: that is what copies are.
    opened(&bytes, [1, 3]).unwrap();
}
