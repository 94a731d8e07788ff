//! The fixed vault under `tests/vectors/vault/`: it opens with what stands beside it, and says what stands
//! beside it. `tests/python/test_vault_format.py` reads the same files without our code.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use rootseal::secret::{GuardKey, LongTermKey, TokenSecret, TotpSeed, UnlockKey};
use rootseal::vault::{
    AccountRef, Class, Collected, Header, Index, Keyslot, Lock, NewAccount, NewItem, NewSlot, NewVault,
    Payload, Profile, SealedVault, Thresholds, UnlockedVault, VaultError,
};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn vector(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/vectors/vault", name].iter().collect()
}

fn json_of(name: &str) -> Value {
    serde_json::from_slice(&fs::read(vector(name)).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let byte = |at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Of a lock that one holder opens.
fn share(slot: &Keyslot, header: &Header, lock: Lock, secret: &TokenSecret) -> Result<Collected, VaultError> {
    let mut collected = Collected::new(header, lock);
    collected.add(slot.share(header, lock, secret)?);
    Ok(collected)
}

fn unlock_key(slot: &Keyslot, header: &Header, secret: &TokenSecret) -> Result<UnlockKey, VaultError> {
    share(slot, header, Lock::Unlock, secret)?.unlock_key()
}

fn guard_key(slot: &Keyslot, header: &Header, secret: &TokenSecret) -> Result<GuardKey, VaultError> {
    share(slot, header, Lock::Guard, secret)?.guard_key()
}

fn token_secret(secrets: &Value, token: usize, lock: &str) -> TokenSecret {
    TokenSecret::copy_from(&unhex(&secrets["tokens"][token][lock]))
}

/// What the vault holds, as JSON.
fn contents(header: &Header, index: &Index, payloads: &[Payload]) -> Value {
    let slots = header.keyslots().iter().map(|slot| {
        json!({"id": slot.id().to_string(), "holder": slot.holder(), "label": slot.label(),
            "kind": slot.kind(), "created": slot.created(), "binding": hex(slot.binding())})
    });
    let accounts = index.accounts().iter().map(|account| {
        json!({"id": account.id.to_string(), "name": account.name, "account id": account.account_id,
            "partition": account.partition, "user": account.user, "e-mail": account.email,
            "created": account.created})
    });
    let profiles = index.profiles().iter().map(|profile| {
        json!({"name": profile.name, "account": profile.account.to_string(), "request": profile.request,
            "duration": profile.duration, "region": profile.region, "created": profile.created})
    });
    let items = index.items().iter().zip(payloads).map(|(item, payload)| {
        json!({"id": item.id.to_string(), "account": item.account.to_string(), "kind": item.kind.as_str(),
            "class": u8::from(item.class == Class::Guarded), "version": item.version,
            "created": item.created, "public text": item.public_text.as_deref(),
            "record": record(payload)})
    });
    json!({
        "vault id": header.vault_id().to_string(), "generation": header.generation(),
        "key epoch": header.epoch(), "thresholds": [1, 1], "keyslots": slots.collect::<Vec<_>>(),
        "accounts": accounts.collect::<Vec<_>>(), "profiles": profiles.collect::<Vec<_>>(),
        "items": items.collect::<Vec<_>>(),
    })
}

fn record(payload: &Payload) -> Value {
    match payload {
        Payload::AccessKey { account_id, partition, user, access_key_id, secret } => {
            json!({"0": account_id, "1": partition, "3": access_key_id, "4": secret.with(hex), "8": user})
        }
        Payload::Totp { account_id, partition, user, mfa_serial, seed, algorithm, digits, period } => {
            json!({"0": account_id, "1": partition, "2": mfa_serial, "4": seed.with(hex), "5": algorithm,
                "6": digits, "7": period, "8": user})
        }
        Payload::TotpToken {
            account_id,
            partition,
            user,
            mfa_serial,
            algorithm,
            digits,
            period,
            device,
            token,
            touch,
        } => {
            json!({"0": account_id, "1": partition, "2": mfa_serial, "5": algorithm, "6": digits, "7": period,
                "8": user, "9": hex(device), "10": token, "11": touch})
        }
    }
}

/// Opens the vector with one of its tokens, and everything in it.
fn open_with(token: usize) -> Value {
    let secrets = json_of("secrets.json");
    let bytes = fs::read(vector("vault.rseal")).unwrap();
    let locked = SealedVault::parse(bytes).unwrap().check(None).unwrap();
    let header = locked.header().clone();
    let slot = header.keyslots().get(token).unwrap();
    let unlock = unlock_key(slot, &header, &token_secret(&secrets, token, "unlock")).unwrap();
    let guard = guard_key(slot, &header, &token_secret(&secrets, token, "guard")).unwrap();
    unlock.with(|key| assert_eq!(key, unhex(&secrets["unlock key"])));
    guard.with(|key| assert_eq!(key, unhex(&secrets["guard key"])));
    let mut vault = locked.unlock(unlock).map_err(|(_, error)| error).unwrap();
    let guard = vault.guard(guard).unwrap();
    let index = guard.vault().index();
    let payloads: Result<Vec<_>, VaultError> =
        index.items().iter().map(|item| guard.secret(item.id)).collect();
    contents(&header, index, &payloads.unwrap())
}

#[test]
fn the_fixed_vault_opens_with_either_token_and_holds_what_it_should() {
    let expected = json_of("contents.json");
    assert_eq!(open_with(0), expected);
    assert_eq!(open_with(1), expected);
}

/// A point of P-256, as a credential's public key would be one.
fn point(token: u8) -> Vec<u8> {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    let secret = p256::SecretKey::from_slice(&[token | 0x10; 32]).unwrap();
    secret.public_key().to_sec1_point(false).as_bytes().to_vec()
}

fn new_slot(token: u8, holder: &str, secrets: &Value) -> NewSlot {
    // CBOR {0: credential id, 1: "rootseal", 2: [salt, salt], 3: true, 4: AAGUID, 5: public key, 6: true}
    let mut binding = vec![0xa7, 0x00, 0x44, token, token, token, token, 0x01, 0x68];
    binding.extend_from_slice(b"rootseal\x02\x82\x58\x20");
    binding.extend_from_slice(&[token; 32]);
    binding.extend_from_slice(&[0x58, 0x20]);
    binding.extend_from_slice(&[token | 0x80; 32]);
    binding.extend_from_slice(&[0x03, 0xf5, 0x04, 0x50]);
    binding.extend_from_slice(&[0xaa; 16]);
    binding.extend_from_slice(&[0x05, 0x58, 0x41]);
    binding.extend_from_slice(&point(token));
    binding.extend_from_slice(&[0x06, 0xf5]);
    NewSlot {
        holder: holder.to_owned(),
        label: format!("{holder}'s key"),
        kind: "fido2".to_owned(),
        created: 1_700_000_000,
        binding,
        unlock: token_secret(secrets, token.into(), "unlock"),
        guard: Some(token_secret(secrets, token.into(), "guard")),
    }
}

fn access_key(account_id: &str, user: Option<&str>, id: &str) -> Payload {
    Payload::AccessKey {
        account_id: account_id.to_owned(),
        partition: "aws".to_owned(),
        user: user.map(str::to_owned),
        access_key_id: id.to_owned(),
        secret: LongTermKey::copy_from(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    }
}

fn fill(vault: &mut UnlockedVault, secrets: &Value) -> Result<(), VaultError> {
    let key = guard_key(&vault.header().keyslots()[0], vault.header(), &token_secret(secrets, 0, "guard"))?;
    let mut draft = vault.guard(key)?.edit();
    draft.add_slot(new_slot(1, "bob", secrets))?;
    let account = |name: &str, user: Option<&str>, email: Option<&str>| NewAccount {
        name: name.to_owned(),
        account_id: "111122223333".to_owned(),
        partition: "aws".to_owned(),
        user: user.map(str::to_owned),
        email: email.map(str::to_owned),
        created: 1_700_000_001,
    };
    let root = draft.add_account(account("prod", None, Some("root@example.com")))?;
    let user = draft.add_account(account("größe", Some("deploy"), None))?;
    for (name, of, region) in [("prod-root", root, None), ("deploy", user, Some("eu-central-1".to_owned()))] {
        draft.add_profile(Profile {
            name: name.to_owned(),
            account: of,
            request: "GetSessionToken".to_owned(),
            duration: 3600,
            region,
            created: 1_700_000_002,
        })?;
    }
    let item =
        |account: AccountRef, class| NewItem { account, class, replaces: None, created: 1_700_000_003 };
    let totp = Payload::Totp {
        account_id: "111122223333".to_owned(),
        partition: "aws".to_owned(),
        user: None,
        mfa_serial: "arn:aws:iam::111122223333:mfa/root-account-mfa-device".to_owned(),
        seed: TotpSeed::copy_from(b"12345678901234567890"),
        algorithm: "SHA1".to_owned(),
        digits: 6,
        period: 30,
    };
    let on_token = Payload::TotpToken {
        account_id: "111122223333".to_owned(),
        partition: "aws".to_owned(),
        user: None,
        mfa_serial: "arn:aws:iam::111122223333:mfa/root-account-mfa-device".to_owned(),
        algorithm: "SHA1".to_owned(),
        digits: 6,
        period: 30,
        device: vec![0xd0; 8],
        token: "YubiKey 12345678".to_owned(),
        touch: true,
    };
    let first =
        draft.put(item(root, Class::Guarded), &access_key("111122223333", None, "AKIAIOSFODNN7OLD"))?;
    draft.put(item(root, Class::Guarded), &totp)?;
    draft.put(item(root, Class::Open), &on_token)?;
    draft.put(item(user, Class::Open), &access_key("111122223333", Some("deploy"), "AKIAIOSFODNN7DEPLOY"))?;
    let second = NewItem { replaces: Some(first), ..item(root, Class::Guarded) };
    draft.put(second, &access_key("111122223333", None, "AKIAIOSFODNN7EXAMPLE"))?;
    draft.rekey_at_seal()?;
    let staged = draft.seal()?;
    vault.accept(staged)
}

#[test]
#[ignore = "writes the vectors"]
fn write_the_vectors() {
    let token = |byte: u8| json!({"unlock": hex(&[byte; 32]), "guard": hex(&[byte | 0xf0; 32])});
    let mut secrets = json!({"tokens": [token(1), token(2)]});
    let new = NewVault::create(vec![new_slot(0, "alice", &secrets)], Thresholds::ONE).unwrap();
    let mut vault = new.into_unlocked();
    fill(&mut vault, &secrets).unwrap();
    let header = vault.header().clone();
    let slot = &header.keyslots()[0];
    let unlock = unlock_key(slot, &header, &token_secret(&secrets, 0, "unlock")).unwrap();
    let guard = guard_key(slot, &header, &token_secret(&secrets, 0, "guard")).unwrap();
    secrets["unlock key"] = unlock.with(hex).into();
    secrets["guard key"] = guard.with(hex).into();
    let guard = vault.guard(guard).unwrap();
    let index = guard.vault().index();
    let payloads: Vec<_> = index.items().iter().map(|item| guard.secret(item.id).unwrap()).collect();
    let contents = contents(&header, index, &payloads);
    fs::create_dir_all(vector("")).unwrap();
    fs::write(vector("contents.json"), serde_json::to_vec_pretty(&contents).unwrap()).unwrap();
    fs::write(vector("secrets.json"), serde_json::to_vec_pretty(&secrets).unwrap()).unwrap();
    drop(guard);
    fs::write(vector("vault.rseal"), vault.lock().bytes()).unwrap();
}
