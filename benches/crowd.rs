//! Many items in a vault: guarded access keys, ten for an account.

use rootseal::secret::{GuardKey, LongTermKey, TokenSecret};
use rootseal::vault::{Class, Collected, Header, Lock, NewAccount, NewItem, Payload, UnlockedVault};

/// Adds `items` of them; `key` is the vault's guard key.
pub(crate) fn fill(vault: &mut UnlockedVault, key: GuardKey, items: usize) {
    let mut draft = vault.guard(key).unwrap().edit();
    for number in 0..items.div_ceil(10) {
        let id = draft.add_account(account(format!("account {number}"))).unwrap();
        for item in 0..10 {
            let payload = Payload::AccessKey {
                account_id: "111122223333".to_owned(),
                partition: "aws".to_owned(),
                user: None,
                access_key_id: format!("AKIA{number:08}{item:08}"),
                secret: LongTermKey::copy_from(&[b'x'; 40]),
            };
            let new = NewItem { account: id, class: Class::Guarded, replaces: None, created: 1 };
            draft.put(new, &payload).unwrap();
        }
    }
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
}

fn account(name: String) -> NewAccount {
    NewAccount {
        name,
        account_id: "111122223333".to_owned(),
        partition: "aws".to_owned(),
        user: None,
        email: None,
        created: 1,
    }
}

/// What the first keyslot gives for a lock.
pub(crate) fn collected(header: &Header, lock: Lock, secret: &TokenSecret) -> Collected {
    let mut collected = Collected::new(header, lock);
    collected.add(header.keyslots().first().unwrap().share(header, lock, secret).unwrap());
    collected
}
