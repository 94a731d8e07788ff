//! The roles.

use super::locked::Locked;

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Locked);

        impl $name {
            /// A secret of `length` bytes that `fill` writes in place; they are zero before.
            pub fn fill(length: usize, fill: impl FnOnce(&mut [u8])) -> Self {
                let mut memory = Locked::zeroed(length);
                memory.with_mut(fill);
                Self(memory)
            }

            /// Like [`Self::fill`]; where `fill` fails, what it wrote is wiped.
            ///
            /// # Errors
            /// What `fill` returned.
            pub fn try_fill<E>(length: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
                let mut memory = Locked::zeroed(length);
                memory.with_mut(fill)?;
                Ok(Self(memory))
            }

            /// Takes a copy of `bytes`; wiping the original is the caller's duty.
            pub fn copy_from(bytes: &[u8]) -> Self {
                Self::fill(bytes.len(), |memory| memory.copy_from_slice(bytes))
            }

            /// Writes others in place of the bytes: a key that moves on needs no mapping of its own for each step.
            pub fn rewrite(&mut self, write: impl FnOnce(&mut [u8])) {
                self.0.with_mut(write);
            }

            /// Reads the bytes. What `read` copies out is its own to wipe.
            pub fn with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
                self.0.with(read)
            }
        }
    };
}

role! {
    /// Opens the index: names, account ids, profiles. 32 bytes.
    UnlockKey
}
role! {
    /// Opens, together with the unlock key, root-grade secrets. 32 bytes, derived anew for each operation.
    GuardKey
}
role! {
    /// What one holder has of a lock's key: all of it (32 bytes), or a share (33 bytes).
    KeyShare
}
role! {
    /// The private seed of a keyslot's key pair for one lock. 32 bytes.
    SlotKey
}
role! {
    /// What a token answers for one keyslot: 32 bytes of `hmac-secret` (CTAP 2.1 section 12.5); of a PIV key the
    /// x coordinate that ECDH gives (32 bytes for P-256, 48 for P-384) or the 32 bytes that were sealed to an RSA
    /// key; 20 bytes of HMAC-SHA-1.
    TokenSecret
}
role! {
    /// Encrypts one version of one record. 32 bytes.
    DataKey
}
role! {
    /// Authenticates one record of the audit log, and leads to the next one's key; or what a first one of these is
    /// derived from. 32 bytes.
    AuditKey
}
role! {
    /// A token's PIN, UTF-8.
    Pin
}
role! {
    /// A PIV card's management key: 16, 24 or 32 bytes.
    ManagementKey
}
role! {
    /// The access key of a token's OATH application, as derived from a password. 16 bytes.
    OathAccessKey
}
role! {
    /// A TOTP seed, raw bytes (not base32).
    TotpSeed
}
role! {
    /// A TOTP seed in base32, as it is typed or found in a QR picture; not yet decoded.
    Base32Seed
}
role! {
    /// The secret half of an AWS access key, ASCII.
    LongTermKey
}
role! {
    /// A signing key derived from a long-term key: good for one day, region and service (AWS SigV4). 32 bytes.
    SigningKey
}
role! {
    /// A temporary session, as the JSON that `credential_process` prints.
    SessionCredentials
}
role! {
    /// A one-time code, decimal digits.
    OtpCode
}
role! {
    /// A recovery code, 32 bytes.
    RecoveryCode
}
