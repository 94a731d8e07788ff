//! The keys of the records that are made while the vault is open. Each record has its own; it leads to the next one's,
//! and never back.

use super::record::{Opening, hex};
use crate::crypto::hash::{equal, hmac_sha256};
use crate::crypto::{CryptoError, kdf, random};
use crate::secret::{AuditKey, forgetting};
use std::sync::Mutex;

/// One unlocked vault's way to the MACs of the log. When the vault is locked it is dropped, and its keys are wiped.
pub struct Session {
    vault: String,
    epoch: u64,
    root: AuditKey,
    keys: Mutex<Keys>,
}

struct Keys {
    /// Of the next record. All zeros until the first one of the session is on the disk.
    now: Ratchet,
    /// As `now` will be when the records that are being written are on the disk.
    staged: Ratchet,
}

impl Session {
    /// A session of a vault; `root` is what the vault derives from its unlock key for this.
    pub fn new(root: AuditKey, vault: &[u8; 16], epoch: u64) -> Self {
        let none = || Ratchet(AuditKey::fill(32, |_zeros| {}));
        Self { vault: hex(vault), epoch, root, keys: Mutex::new(Keys { now: none(), staged: none() }) }
    }

    /// Begins a batch of records at the key that is due.
    pub(super) fn stage(&self) {
        if let Ok(mut keys) = self.keys.lock() {
            let Keys { now, staged } = &mut *keys;
            staged.become_like(now);
        }
    }

    /// Goes on with a fresh key, within a batch.
    pub(super) fn open(&self) -> Result<Opening, CryptoError> {
        let salt = random::public::<32>()?;
        if let Ok(mut keys) = self.keys.lock() {
            let first = self.ratchet(&salt);
            keys.staged.become_like(&first);
        }
        Ok(Opening { vault: self.vault.clone(), epoch: self.epoch, salt: hex(&salt) })
    }

    /// The MAC of the next record of the batch: of its line up to `,"mac"`, and a brace.
    pub(super) fn mac(&self, body: &[u8]) -> Option<[u8; 32]> {
        let mut keys = self.keys.lock().ok()?;
        Some(forgetting(|| {
            let mac = keys.staged.mac(&[body]);
            keys.staged.step();
            mac
        }))
    }

    /// The batch is on the disk: its keys are gone for good.
    pub(super) fn commit(&self) {
        if let Ok(mut keys) = self.keys.lock() {
            let Keys { now, staged } = &mut *keys;
            now.become_like(staged);
            staged.wipe();
        }
    }

    /// The batch is not: the same keys are due again.
    pub(super) fn abandon(&self) {
        if let Ok(mut keys) = self.keys.lock() {
            keys.staged.wipe();
        }
    }

    /// The first key after an opening with `salt`.
    pub(super) fn ratchet(&self, salt: &[u8; 32]) -> Ratchet {
        forgetting(|| {
            let first = self.root.with(|root| kdf::derive(root, salt, &[b"rootseal/v1/audit/first"]));
            Ratchet(AuditKey::copy_from(&*first))
        })
    }

    /// Whether the records after `opening` have keys of this session's vault and epoch.
    pub(super) fn can_check(&self, opening: &Opening) -> bool {
        opening.vault == self.vault && opening.epoch == self.epoch
    }

    /// Whether it is of the epoch after this one: a change of keys that was begun, and never came into effect.
    pub(super) fn is_before(&self, opening: &Opening) -> bool {
        opening.vault == self.vault && Some(opening.epoch) == self.epoch.checked_add(1)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// The key of one record.
pub(super) struct Ratchet(AuditKey);

impl Ratchet {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let key = self.0.with(|key| kdf::derive(key, &[], &[b"rootseal/v1/audit/mac"]));
        let with_brace: Vec<&[u8]> = parts.iter().copied().chain([&b"}"[..]]).collect();
        hmac_sha256(&key, &with_brace)
    }

    fn step(&mut self) {
        let next = self.0.with(|key| kdf::derive(key, &[], &[b"rootseal/v1/audit/next"]));
        self.0.rewrite(|key| key.copy_from_slice(&*next));
    }

    fn become_like(&mut self, other: &Self) {
        other.0.with(|other| self.0.rewrite(|key| key.copy_from_slice(other)));
    }

    fn wipe(&mut self) {
        self.0.rewrite(zeroize::Zeroize::zeroize);
    }

    /// Whether `mac` is that of `body`; the key moves on.
    pub(super) fn verify(&mut self, body: &[u8], mac: &[u8; 32]) -> bool {
        forgetting(|| {
            let good = equal(&self.mac(&[body]), mac);
            self.step();
            good
        })
    }
}

#[cfg(test)]
pub(super) fn for_tests(root: u8, epoch: u64) -> std::sync::Arc<Session> {
    std::sync::Arc::new(Session::new(AuditKey::copy_from(&[root; 32]), &[7; 16], epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::unhex;

    #[test]
    fn every_record_has_a_key_of_its_own_which_a_failed_write_does_not_use_up() {
        let session = for_tests(1, 1);
        let opening = session.open().unwrap();
        let first = session.mac(b"{a").unwrap();
        session.commit();
        session.stage();
        let second = session.mac(b"{a").unwrap();
        assert_ne!(first, second);
        session.abandon();
        session.stage();
        assert_eq!(session.mac(b"{a").unwrap(), second);
        session.commit();
        let mut ratchet = session.ratchet(&unhex(&opening.salt).unwrap());
        assert!(ratchet.verify(b"{a", &first) && ratchet.verify(b"{a", &second));
        assert!(!ratchet.verify(b"{a", &second));
    }

    #[test]
    fn what_is_left_behind_is_wiped() {
        let session = for_tests(1, 1);
        session.open().unwrap();
        session.mac(b"{a").unwrap();
        session.commit();
        let keys = session.keys.lock().unwrap();
        keys.staged.0.with(|key| assert_eq!(key, [0; 32]));
        keys.now.0.with(|key| assert_ne!(key, [0; 32]));
    }

    /// Computed with Python's hmac and hashlib from the words of docs/audit-log.md.
    #[test]
    fn the_keys_are_those_of_the_page() {
        let mut ratchet = for_tests(1, 1).ratchet(&[2; 32]);
        let macs = [
            "334b9ea585e6c343f4371f2230c944595471babaee7165e17d5b5c476dd8329b",
            "30235d249873815292e011e4a7a2f3f53a6396a749ec7dae01b21fb7cb9e25c4",
        ];
        for mac in macs {
            assert_eq!(hex(&ratchet.mac(&[b"{\"seq\":1"])), mac);
            ratchet.step();
        }
    }
}
