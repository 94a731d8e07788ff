//! Ids, locks, classes, thresholds.

use super::VaultError;
use crate::crypto::random;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            pub(super) fn random() -> Result<Self, VaultError> {
                Ok(Self(random::public()?))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::str::FromStr for $name {
            type Err = VaultError;

            fn from_str(text: &str) -> Result<Self, VaultError> {
                hex16(text).map(Self).ok_or(VaultError::Invalid("id"))
            }
        }
    };
}

id! {
    /// A vault, for its life.
    VaultId
}
id! {
    /// A keyslot.
    SlotId
}
id! {
    /// An item: one secret in its versions.
    ItemId
}
id! {
    /// An account's entry in the index (not AWS's twelve digits).
    AccountRef
}

fn hex16(text: &str) -> Option<[u8; 16]> {
    let lower = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
    if text.len() != 32 || !text.as_bytes().iter().all(lower) {
        return None;
    }
    Some(u128::from_str_radix(text, 16).ok()?.to_be_bytes())
}

/// One of the two locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Opens the index.
    Unlock,
    /// Opens, with the unlock key, guarded records.
    Guard,
}

impl Lock {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Unlock => 0,
            Self::Guard => 1,
        }
    }
}

/// Which keys a record needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The unlock key.
    Open,
    /// The unlock key and the guard key.
    Guarded,
}

impl Class {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Guarded => 1,
        }
    }

    pub(super) const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Open),
            1 => Some(Self::Guarded),
            _ => None,
        }
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemKind {
    /// A long-term AWS access key.
    AccessKey,
    /// A TOTP seed.
    Totp,
    /// Where a TOTP seed is: on a token.
    TotpToken,
}

impl ItemKind {
    /// The format's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessKey => "access-key",
            Self::Totp => "totp",
            Self::TotpToken => "totp-token",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::AccessKey, Self::Totp, Self::TotpToken].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How many holders each lock needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    unlock: u8,
    guard: u8,
}

impl Thresholds {
    /// One holder for each lock.
    pub const ONE: Self = Self { unlock: 1, guard: 1 };

    /// 1 ≤ `unlock` ≤ `guard` ≤ `holders`.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] outside that.
    pub fn new(unlock: u64, guard: u64, holders: u64) -> Result<Self, VaultError> {
        let invalid = VaultError::Invalid("thresholds");
        if unlock == 0 || unlock > guard || guard > holders {
            return Err(invalid);
        }
        let small = |number| u8::try_from(number).map_err(|_large| invalid);
        Ok(Self { unlock: small(unlock)?, guard: small(guard)? })
    }

    /// Holders needed for `lock`.
    pub const fn of(self, lock: Lock) -> u8 {
        match lock {
            Lock::Unlock => self.unlock,
            Lock::Guard => self.guard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_checked_wherever_they_enter() {
        assert_eq!(Thresholds::new(1, 1, 1), Ok(Thresholds::ONE));
        for (unlock, guard, holders) in [(0, 1, 1), (1, 0, 1), (0, 0, 0), (2, 1, 2), (1, 2, 1), (1, 1, 0)] {
            assert_eq!(Thresholds::new(unlock, guard, holders), Err(VaultError::Invalid("thresholds")));
        }
        assert_eq!(Thresholds::new(1, 256, 256), Err(VaultError::Invalid("thresholds")));
        let two = Thresholds::new(1, 2, 2).unwrap();
        assert_eq!((two.of(Lock::Unlock), two.of(Lock::Guard)), (1, 2));
    }

    #[test]
    fn ids_are_lower_case_hex_and_back() {
        let id = ItemId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "ab", &"AB".repeat(16), &"+a".repeat(16), &"ab".repeat(17)] {
            assert_eq!(bad.parse::<ItemId>(), Err(VaultError::Invalid("id")));
        }
    }
}
