//! Sessions that AWS granted, kept in locked memory until shortly before they expire or the vault is locked.

use super::clock::Watch;
use crate::secret::SessionCredentials;
use crate::vault::AccountRef;
use std::collections::HashMap;
use std::sync::Arc;

/// At most so many are kept; the one that expires first goes.
const MOST: usize = 256;

/// What makes two requests the same: whoever asks for anything else gets a session of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) uid: u32,
    pub(super) account: AccountRef,
    pub(super) request: String,
    pub(super) duration: u32,
    pub(super) endpoint: String,
}

struct Session {
    credentials: Arc<SessionCredentials>,
    /// Seconds since 1970-01-01 UTC.
    expiration: u64,
    /// The same by the boot clock, which nobody can set back.
    boot_expiration: u64,
}

/// The cache.
#[derive(Default)]
pub(super) struct Sessions(HashMap<SessionKey, Session>);

impl Sessions {
    /// The credentials and when they expire, if they are valid for long enough still.
    pub(super) fn get(&self, key: &SessionKey, clock: &Watch) -> Option<(Arc<SessionCredentials>, u64)> {
        let session = self.0.get(key)?;
        let margin = margin(key.duration);
        let by_wall = clock.now().saturating_add(margin) < session.expiration;
        let by_boot = clock.boot_seconds().saturating_add(margin) < session.boot_expiration;
        (by_wall && by_boot && clock.jump().is_none()).then(|| (Arc::clone(&session.credentials), session.expiration))
    }

    /// Keeps a session for the next request of the same kind.
    pub(super) fn put(&mut self, key: SessionKey, credentials: Arc<SessionCredentials>, expiration: u64, clock: &Watch) {
        let left = expiration.saturating_sub(clock.now()).min(u64::from(key.duration));
        let boot_expiration = clock.boot_seconds().saturating_add(left);
        let now = clock.boot_seconds();
        self.0.retain(|_, session| session.boot_expiration > now);
        if self.0.len() >= MOST {
            let first = self.0.iter().min_by_key(|(_, session)| session.boot_expiration).map(|(key, _)| key.clone());
            first.and_then(|key| self.0.remove(&key));
        }
        self.0.insert(key, Session { credentials, expiration, boot_expiration });
    }

    /// Forgets those of an account that is no more.
    pub(super) fn forget(&mut self, account: AccountRef) {
        self.0.retain(|key, _| key.account != account);
    }

    /// Wipes all.
    pub(super) fn clear(&mut self) {
        self.0 = HashMap::new();
    }
}

/// How much validity must be left, in seconds. botocore asks again at every use once 15 minutes or less are
/// left, so sessions that can last longer are not served that far; the shortest ones are served to their end.
fn margin(duration: u32) -> u64 {
    if duration >= 1800 { 15 * 60 + 5 } else { 60 }
}
