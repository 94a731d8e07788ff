//! One type for each role a secret can play, so that no key is ever taken for another.
//!
//! None of them can be cloned, compared, formatted or serialised; the bytes are read through
//! `with(|bytes| …)` and wiped when the value is dropped. The bytes live outside the heap, in memory
//! of their own (see [`Protection`]). Nothing that is not a secret enters this room.

mod locked;
mod roles;
mod stack;

pub use locked::{Protection, protection};
pub use roles::{
    AuditKey, Base32Seed, DataKey, GuardKey, KeyShare, LongTermKey, ManagementKey, OathAccessKey, OtpCode,
    Pin, RecoveryCode, SessionCredentials, SigningKey, SlotKey, TokenSecret, TotpSeed, UnlockKey,
};
pub use stack::forgetting;
