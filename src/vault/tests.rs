//! The room as its users see it.

mod attacks;
mod canonical;
mod changes;
mod damage;
mod log;
mod quorum;

use super::*;
use crate::secret::{GuardKey, LongTermKey, TokenSecret, TotpSeed, UnlockKey};

pub(super) struct Token(pub(super) u8);

impl Token {
    pub(super) fn unlock(&self) -> TokenSecret {
        TokenSecret::copy_from(&[self.0; 32])
    }

    pub(super) fn guard(&self) -> TokenSecret {
        TokenSecret::copy_from(&[self.0 ^ 0xff; 32])
    }

    pub(super) fn slot(&self, holder: &str) -> NewSlot {
        NewSlot {
            holder: holder.to_owned(),
            label: "demo key".to_owned(),
            kind: "fido2".to_owned(),
            created: 1_700_000_000,
            binding: vec![0xa0],
            unlock: self.unlock(),
            guard: Some(self.guard()),
        }
    }

    pub(super) fn unlock_key(&self, header: &Header) -> Result<UnlockKey, VaultError> {
        header.keyslots()[0].unlock_key(header, &self.unlock())
    }

    pub(super) fn guard_key(&self, header: &Header) -> Result<GuardKey, VaultError> {
        header.keyslots()[0].guard_key(header, &self.guard())
    }
}

/// Of a vault that one holder opens.
impl Keyslot {
    pub(super) fn unlock_key(&self, header: &Header, secret: &TokenSecret) -> Result<UnlockKey, VaultError> {
        let mut collected = Collected::new(header, Lock::Unlock);
        collected.add(self.share(header, Lock::Unlock, secret)?);
        collected.unlock_key()
    }

    pub(super) fn guard_key(&self, header: &Header, secret: &TokenSecret) -> Result<GuardKey, VaultError> {
        let mut collected = Collected::new(header, Lock::Guard);
        collected.add(self.share(header, Lock::Guard, secret)?);
        collected.guard_key()
    }
}

pub(super) fn account(name: &str, account_id: &str) -> NewAccount {
    NewAccount {
        name: name.to_owned(),
        account_id: account_id.to_owned(),
        partition: "aws".to_owned(),
        user: None,
        email: Some("root@example.com".to_owned()),
        created: 1_700_000_001,
    }
}

pub(super) fn access_key(account_id: &str, access_key_id: &str) -> Payload {
    Payload::AccessKey {
        account_id: account_id.to_owned(),
        partition: "aws".to_owned(),
        user: None,
        access_key_id: access_key_id.to_owned(),
        secret: LongTermKey::copy_from(format!("secret of {access_key_id}").as_bytes()),
    }
}

pub(super) fn totp(account_id: &str) -> Payload {
    Payload::Totp {
        account_id: account_id.to_owned(),
        partition: "aws".to_owned(),
        user: None,
        mfa_serial: format!("arn:aws:iam::{account_id}:mfa/root-account-mfa-device"),
        seed: TotpSeed::copy_from(b"12345678901234567890"),
        algorithm: "SHA1".to_owned(),
        digits: 6,
        period: 30,
    }
}

pub(super) fn totp_token(account_id: &str) -> Payload {
    Payload::TotpToken {
        account_id: account_id.to_owned(),
        partition: "aws".to_owned(),
        user: None,
        mfa_serial: format!("arn:aws:iam::{account_id}:mfa/root-account-mfa-device"),
        algorithm: "SHA1".to_owned(),
        digits: 6,
        period: 30,
        device: vec![0x1d; 8],
        token: "YubiKey 12345678".to_owned(),
        touch: true,
    }
}

pub(super) const fn item(account: AccountRef, class: Class) -> NewItem {
    NewItem { account, class, replaces: None, created: 1_700_000_002 }
}

pub(super) fn profile(name: &str, account: AccountRef) -> Profile {
    Profile {
        name: name.to_owned(),
        account,
        request: "GetSessionToken".to_owned(),
        duration: 3600,
        region: None,
        created: 1_700_000_003,
    }
}

pub(super) const TOKEN: Token = Token(7);
pub(super) const PROD: &str = "111122223333";
pub(super) const TEST: &str = "444455556666";

/// A vault with two accounts, a profile, two guarded items and an open one.
pub(super) fn sample() -> UnlockedVault {
    let mut vault = NewVault::create(vec![TOKEN.slot("alice")], Thresholds::ONE).unwrap().into_unlocked();
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let mut draft = vault.guard(key).unwrap().edit();
    let prod = draft.add_account(account("prod", PROD)).unwrap();
    let test = draft.add_account(account("test", TEST)).unwrap();
    draft.add_profile(profile("prod-root", prod)).unwrap();
    draft.put(item(prod, Class::Guarded), &access_key(PROD, "AKIAPROD")).unwrap();
    draft.put(item(test, Class::Open), &totp(TEST)).unwrap();
    draft.put(item(test, Class::Guarded), &access_key(TEST, "AKIATEST")).unwrap();
    let staged = draft.seal().unwrap();
    vault.accept(staged).unwrap();
    vault
}

pub(super) fn reopen(bytes: &[u8], seen: Option<&Seen>) -> Result<UnlockedVault, VaultError> {
    let locked = SealedVault::parse(bytes.to_vec())?.check(seen)?;
    let key = TOKEN.unlock_key(locked.header())?;
    locked.unlock(key).map_err(|(_locked, error)| error)
}

pub(super) fn secret_of(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::AccessKey { secret, .. } => secret.with(<[u8]>::to_vec),
        Payload::Totp { seed, .. } => seed.with(<[u8]>::to_vec),
        Payload::TotpToken { .. } => Vec::new(),
    }
}

#[test]
fn what_was_put_in_comes_out_after_a_reload() {
    let vault = sample();
    let bytes = vault.lock().bytes().to_vec();
    let mut vault = reopen(&bytes, None).unwrap();
    let prod = vault.index().account_named("prod").unwrap().clone();
    assert_eq!(prod.account_id, PROD);
    assert_eq!(vault.index().profile("prod-root").unwrap().account, prod.id);
    let ids: Vec<_> = vault.index().items().iter().map(|item| item.id).collect();
    assert!(matches!(vault.open_record(ids[0]), Err(VaultError::GuardNeeded)));
    assert_eq!(secret_of(&vault.open_record(ids[1]).unwrap()), b"12345678901234567890");
    let key = TOKEN.guard_key(vault.header()).unwrap();
    let guard = vault.guard(key).unwrap();
    assert_eq!(secret_of(&guard.secret(ids[0]).unwrap()), b"secret of AKIAPROD");
    assert_eq!(secret_of(&guard.secret(ids[2]).unwrap()), b"secret of AKIATEST");
}
