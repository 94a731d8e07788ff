//! A lock's key and its holders: shared out to their keyslots, collected from one after another.

use super::manifest::SlotEntry;
use super::{Header, Lock, Part, VaultError};
use crate::crypto::sharing;
use crate::secret::{GuardKey, KeyShare, UnlockKey};

/// What a keyslot gives for a lock: the key itself where one holder is enough, else the share of its holder.
pub struct Share {
    lock: Lock,
    holder: String,
    secret: KeyShare,
}

impl Share {
    pub(super) const fn new(lock: Lock, holder: String, secret: KeyShare) -> Self {
        Self { lock, holder, secret }
    }
}

/// The shares of one lock that were collected so far. Dropped, it leaves nothing of them.
pub struct Collected {
    lock: Lock,
    needed: usize,
    shares: Vec<Share>,
}

impl Collected {
    /// Nothing yet, of as many as the header wants.
    pub fn new(header: &Header, lock: Lock) -> Self {
        Self { lock, needed: header.thresholds().of(lock).into(), shares: Vec::new() }
    }

    /// How many holders are missing.
    pub const fn missing(&self) -> usize {
        self.needed.saturating_sub(self.shares.len())
    }

    /// Takes a share. That of a holder who has given theirs counts for nothing, nor does one more than it takes.
    pub fn add(&mut self, share: Share) {
        if self.missing() > 0
            && share.lock == self.lock
            && self.shares.iter().all(|other| other.holder != share.holder)
        {
            self.shares.push(share);
        }
    }

    /// The unlock lock's key.
    ///
    /// # Errors
    /// [`VaultError::NotEnough`] holders; [`VaultError::Damaged`] if they are no shares of a key.
    pub fn unlock_key(self) -> Result<UnlockKey, VaultError> {
        self.key(Lock::Unlock, UnlockKey::copy_from)
    }

    /// The guard lock's key.
    ///
    /// # Errors
    /// As [`Self::unlock_key`].
    pub fn guard_key(self) -> Result<GuardKey, VaultError> {
        self.key(Lock::Guard, GuardKey::copy_from)
    }

    fn key<K>(&self, lock: Lock, key: impl FnOnce(&[u8]) -> K) -> Result<K, VaultError> {
        if self.lock != lock {
            return Err(VaultError::NoSuchLock);
        }
        if self.missing() > 0 {
            return Err(VaultError::NotEnough);
        }
        let damaged = VaultError::Damaged(Part::Keyslot);
        match self.shares.as_slice() {
            [all] if self.needed == 1 => {
                all.secret.with(|all| if all.len() == KEY { Ok(key(all)) } else { Err(damaged) })
            }
            shares => {
                let shares: Vec<_> = shares.iter().map(|share| &share.secret).collect();
                if shares.iter().any(|share| share.with(<[u8]>::len) != sharing::SHARE) {
                    return Err(damaged);
                }
                Ok(key(&sharing::combine(&shares).map_err(|_malformed| damaged)?))
            }
        }
    }
}

const KEY: usize = 32;

/// Gives each holder of each lock a share of its key: all slots of one holder carry the same. It needs the slots'
/// public halves, which the guard manifest has, and no token.
pub(super) fn share_out(
    header: &mut Header,
    entries: &[SlotEntry],
    unlock: &UnlockKey,
    guard: &GuardKey,
) -> Result<(), VaultError> {
    for lock in [Lock::Unlock, Lock::Guard] {
        let holders: Vec<_> = header.holders(lock).into_iter().map(ToOwned::to_owned).collect();
        let needed = header.thresholds.of(lock).into();
        let shares = match lock {
            Lock::Unlock => unlock.with(|key| split(key, needed, holders.len())),
            Lock::Guard => guard.with(|key| split(key, needed, holders.len())),
        }?;
        let (vault, epoch) = (header.vault, header.epoch);
        for (slot, entry) in header.slots.iter_mut().zip(entries) {
            let holder = holders.iter().position(|holder| *holder == slot.holder);
            let share = holder.and_then(|holder| shares.get(holder));
            let id = slot.id;
            if let (Some(sealed), Some(public), Some(share)) =
                (slot.entry_mut(lock), entry.public(lock), share)
            {
                share.with(|share| sealed.reseal(vault, epoch, id, lock, public, share))?;
            }
        }
    }
    Ok(())
}

fn split(key: &[u8], needed: usize, holders: usize) -> Result<Vec<KeyShare>, VaultError> {
    if needed == 1 {
        return Ok((0..holders).map(|_holder| KeyShare::copy_from(key)).collect());
    }
    Ok(sharing::split(key, needed, holders)?)
}
