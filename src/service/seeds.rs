//! An account's TOTP seeds, and where each is: in the vault, on tokens, or both.

use super::error::Error;
use super::house::House;
use super::vault_error;
use crate::aws::{AccountId, MfaSerial, Partition};
use crate::crypto::hash::sha256;
use crate::otp::{Algorithm, TotpParams};
use crate::token::OathName;
use crate::vault::{Account, AccountRef, Item, ItemId, ItemKind, Payload};

/// Under what the spent steps of a seed are counted: all copies of it share them. The account's id in the index is
/// random and sealed, so the number alone does not tell whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SeedKey([u8; 16]);

impl SeedKey {
    pub(super) fn new(account: AccountRef, mfa_serial: &str) -> Self {
        let hash = sha256(&[account.as_bytes(), mfa_serial.as_bytes()]);
        Self(hash.first_chunk().copied().unwrap_or_default())
    }

    /// Of an item that is a seed, or says where one is.
    pub(super) fn of(item: &Item) -> Option<Self> {
        is_seed(item.kind).then(|| Self::new(item.account, item.public_text.as_deref().unwrap_or_default()))
    }

    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Whether items of this kind are seeds, or say where one is.
pub(super) const fn is_seed(kind: ItemKind) -> bool {
    matches!(kind, ItemKind::Totp | ItemKind::TotpToken)
}

/// The seed of one MFA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seed {
    pub(super) key: SeedKey,
    /// The device's serial: an ARN, mostly.
    pub(super) serial: String,
    /// The vault's copy.
    pub(super) vault: Option<ItemId>,
    /// Those on tokens.
    pub(super) copies: Vec<SeedCopy>,
}

/// A seed on a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeedCopy {
    pub(super) account: AccountRef,
    pub(super) item: ItemId,
    pub(super) key: SeedKey,
    pub(super) serial: String,
    /// What the token's OATH application calls itself.
    pub(super) device: Vec<u8>,
    /// What the token was called when the seed was put there.
    pub(super) token: String,
    /// What the seed is called there: made from account and serial, so that nobody can point it elsewhere.
    pub(super) name: OathName,
    pub(super) params: TotpParams,
    pub(super) touch: bool,
}

/// All seeds of an account, in the order in which they were added.
pub(super) fn seeds_of(house: &House, account: &Account) -> Result<Vec<Seed>, Error> {
    let vault = house.unlocked()?;
    let mut seeds: Vec<Seed> = Vec::new();
    for item in vault.index().items_of(account.id) {
        let Some(key) = SeedKey::of(item) else { continue };
        let serial = item.public_text.as_deref().unwrap_or_default();
        let at = seeds.iter().position(|seed| seed.key == key).unwrap_or(seeds.len());
        if at == seeds.len() {
            seeds.push(Seed { key, serial: serial.to_owned(), vault: None, copies: Vec::new() });
        }
        let Some(seed) = seeds.get_mut(at) else { continue };
        if item.kind == ItemKind::Totp {
            seed.vault = Some(item.id);
        } else {
            seed.copies.push(copy(house, account, item, key)?);
        }
    }
    Ok(seeds)
}

fn copy(house: &House, account: &Account, item: &Item, key: SeedKey) -> Result<SeedCopy, Error> {
    let odd = Error::Failed("the record of a seed on a token is not what it seems");
    let record = house.unlocked()?.open_record(item.id).map_err(|error| vault_error(&error, house.path()))?;
    let Payload::TotpToken { mfa_serial, algorithm, digits, period, device, token, touch, .. } = record
    else {
        return Err(odd);
    };
    if item.public_text.as_deref() != Some(&*mfa_serial) {
        return Err(odd);
    }
    let params = params(&algorithm, digits, period)?;
    let name = name_on_token(account, &mfa_serial, &params)?;
    Ok(SeedCopy {
        account: account.id,
        item: item.id,
        key,
        serial: mfa_serial,
        device,
        token,
        name,
        params,
        touch,
    })
}

/// How codes are made, as a record has it.
pub(super) fn params(algorithm: &str, digits: u64, period: u64) -> Result<TotpParams, Error> {
    let algorithm = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|known| known.name() == algorithm)
        .ok_or(Error::Failed("the TOTP seed wants an unknown algorithm"))?;
    Ok(TotpParams::new(algorithm, u8::try_from(digits).unwrap_or(u8::MAX), period)?)
}

/// What a seed is called on a token: `AWS:root-account-mfa-device@111122223333`. It says whose seed it is, and is not
/// kept anywhere else: whoever can rewrite the index cannot pass one account's codes off as another's.
pub(super) fn name_on_token(
    account: &Account,
    mfa_serial: &str,
    params: &TotpParams,
) -> Result<OathName, Error> {
    let partition: Partition = account.partition.parse()?;
    let account_id: AccountId = account.account_id.parse()?;
    let serial = MfaSerial::parse(mfa_serial, partition, account_id)?;
    let device = serial.as_str().rsplit_once(":mfa/").map_or(serial.as_str(), |(_, device)| device);
    let text = format!("{}:{device}@{account_id}", partition.name().to_ascii_uppercase());
    let period = u32::try_from(params.period()).unwrap_or(u32::MAX);
    OathName::with_period(&text, period).map_err(|_too_long| {
        Error::Invalid(format!(
            "a token holds names of at most 64 bytes, and {text} is longer: keep this seed in the vault"
        ))
    })
}

/// The seed of the MFA device that was named, or the only one.
pub(super) fn the_seed(seeds: Vec<Seed>, account: &str, serial: Option<&str>) -> Result<Seed, Error> {
    let mut fit = seeds.into_iter().filter(|seed| serial.is_none_or(|serial| seed.serial == serial));
    match (fit.next(), fit.next()) {
        (Some(seed), None) => Ok(seed),
        (Some(_), Some(_)) => {
            Err(Error::Invalid(format!("{account} has several TOTP seeds: name one with --mfa-serial")))
        }
        (None, _) => {
            Err(Error::NotFound(format!("such TOTP seed in {account}: `rootseal totp add` adds one")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(partition: &str) -> Account {
        Account {
            id: AccountRef::from_bytes([1; 16]),
            name: "prod".to_owned(),
            account_id: "111122223333".to_owned(),
            partition: partition.to_owned(),
            user: None,
            email: None,
            created: 0,
        }
    }

    fn name(partition: &str, serial: &str, period: u64) -> Result<Vec<u8>, Error> {
        let params = TotpParams::new(Algorithm::Sha1, 6, period).unwrap();
        name_on_token(&account(partition), serial, &params).map(|name| name.bytes().to_vec())
    }

    #[test]
    fn a_name_on_a_token_says_whose_seed_it_is() {
        let root = "arn:aws:iam::111122223333:mfa/root-account-mfa-device";
        assert_eq!(name("aws", root, 30).unwrap(), b"AWS:root-account-mfa-device@111122223333");
        assert_eq!(name("aws", root, 60).unwrap(), b"60/AWS:root-account-mfa-device@111122223333");
        let china = "arn:aws-cn:iam::111122223333:mfa/team/alice";
        assert_eq!(name("aws-cn", china, 30).unwrap(), b"AWS-CN:team/alice@111122223333");
        assert_eq!(name("aws", "GAHT12345678", 30).unwrap(), b"AWS:GAHT12345678@111122223333");
    }

    #[test]
    fn a_serial_of_another_account_and_a_name_too_long_are_refused() {
        let foreign = "arn:aws:iam::444455556666:mfa/root-account-mfa-device";
        assert!(matches!(name("aws", foreign, 30), Err(Error::Invalid(_))));
        let long = |length| format!("arn:aws:iam::111122223333:mfa/{}", "d".repeat(length));
        assert_eq!(name("aws", &long(47), 30).unwrap().len(), 64);
        assert!(matches!(name("aws", &long(48), 30), Err(Error::Invalid(_))));
        assert!(matches!(name("aws", &long(47), 60), Err(Error::Invalid(_))));
    }

    #[test]
    fn spent_steps_are_counted_for_each_device_of_each_account() {
        let (one, two) = (AccountRef::from_bytes([1; 16]), AccountRef::from_bytes([2; 16]));
        let key = SeedKey::new(one, "arn:x");
        assert_eq!(key, SeedKey::new(one, "arn:x"));
        assert_ne!(key, SeedKey::new(one, "arn:y"));
        assert_ne!(key, SeedKey::new(two, "arn:x"));
        assert_eq!(SeedKey::from_bytes(*key.as_bytes()), key);
    }
}
