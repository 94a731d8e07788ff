//! Locking by itself: a while after the vault was last used, and at the latest so long after it was opened. Time goes on
//! while the machine sleeps, and cannot be set.

use super::alarm::{Alarm, Moment, now};
use super::error::Error;
use super::removal::Opener;
use super::{Service, count};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// When the vault locks by itself. `None`: not for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockAfter {
    /// So long after it was last used.
    pub idle: Option<Duration>,
    /// So long after it was opened.
    pub longest: Option<Duration>,
}

impl Default for LockAfter {
    /// Half an hour, and half a day.
    fn default() -> Self {
        Self { idle: Some(Duration::from_mins(30)), longest: Some(Duration::from_hours(12)) }
    }
}

#[derive(Debug)]
pub(super) struct Open {
    since: Moment,
    used: Moment,
    /// The tokens that opened it.
    pub(super) by: Arc<[Opener]>,
}

/// Knows since when the vault is open, by which tokens, and when it was last used.
#[derive(Debug)]
pub(super) struct Autolock {
    after: LockAfter,
    open: watch::Sender<Option<Open>>,
}

impl Autolock {
    pub(super) fn new(after: LockAfter) -> Self {
        Self { after, open: watch::Sender::default() }
    }

    /// The vault was opened just now.
    pub(super) fn opened(&self, by: Vec<Opener>) {
        let now = now();
        self.open.send_replace(Some(Open { since: now, used: now, by: by.into() }));
    }

    /// Something that is behind a lock was used. Nobody is woken: the time is looked at when it seems to be over.
    pub(super) fn used(&self) {
        self.open.send_if_modified(|open| {
            if let Some(open) = open {
                open.used = now();
            }
            false
        });
    }

    pub(super) fn locked(&self) {
        self.open.send_replace(None);
    }

    /// Told whenever the vault is opened or locked.
    pub(super) fn follow(&self) -> watch::Receiver<Option<Open>> {
        self.open.subscribe()
    }

    /// When it will lock, as things are.
    fn deadline(&self) -> Option<Moment> {
        let open = self.open.borrow();
        let Open { since, used, .. } = open.as_ref()?;
        let idle = self.after.idle.and_then(|idle| used.checked_add(idle));
        let longest = self.after.longest.and_then(|longest| since.checked_add(longest));
        idle.into_iter().chain(longest).min()
    }

    fn is_due(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now())
    }

    /// How long it will stay open, as things are.
    pub(super) fn left(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_sub(now()))
    }
}

impl Service {
    /// Locks the vault in time, for as long as it is polled.
    ///
    /// # Errors
    /// The system gives no timer: then it must not be served, for it would stay open.
    pub async fn lock_in_time(self: Arc<Self>) -> std::io::Result<()> {
        let alarm = Alarm::new()?;
        let mut openings = self.autolock.follow();
        loop {
            // Those from here on: the deadline is that of now.
            openings.mark_unchanged();
            if self.autolock.is_due() {
                if self.lock_if_due().await.is_err() {
                    // The daemon is stopping, and locks by itself.
                    return Ok(());
                }
                continue;
            }
            tokio::select! {
                changed = openings.changed() => if changed.is_err() { return Ok(()) },
                over = alarm.at(self.autolock.deadline()) => over?,
            }
        }
    }

    /// The last word is the keeper's: a use that came before it has put the end off.
    async fn lock_if_due(&self) -> Result<(), Error> {
        let (autolock, locks) = (Arc::clone(&self.autolock), self.locks.clone());
        let lock = move |house: &mut super::house::House| {
            let due = autolock.is_due();
            if due {
                locks.send_modify(count);
            }
            due && house.lock()
        };
        if self.keeper.ask(lock).await? {
            tracing::info!(
                "the vault locked by itself: it was not used for long enough, or open for too long"
            );
            self.wrong_pins.clear();
            self.tell_locked();
        }
        Ok(())
    }

    /// When the vault will lock by itself, as things are: seconds since 1970-01-01 UTC.
    pub fn lock_deadline(&self) -> Option<u64> {
        self.autolock.left().map(|left| self.clock.now().saturating_add(left.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;
    use futures_util::FutureExt as _;

    const HOUR: Duration = Duration::from_hours(1);

    fn left(after: LockAfter, since: Duration, used: Duration) -> Option<Duration> {
        let autolock = Autolock::new(after);
        let now = now();
        let ago = |time: Duration| now.saturating_sub(time);
        autolock.open.send_replace(Some(Open { since: ago(since), used: ago(used), by: Arc::default() }));
        autolock.left()
    }

    #[test]
    fn whichever_comes_first() {
        let both = LockAfter { idle: Some(HOUR), longest: Some(3 * HOUR) };
        // The machine may have been up for less than the times here: then they count from its boot.
        let far = LockAfter { idle: Some(1000 * HOUR), longest: Some(2000 * HOUR) };
        assert!(left(far, HOUR, HOUR).unwrap() > 900 * HOUR);
        assert!(left(both, Duration::ZERO, Duration::ZERO).unwrap() <= HOUR);
        let longest = LockAfter { idle: None, ..both };
        assert!(left(longest, Duration::ZERO, Duration::ZERO).unwrap() > 2 * HOUR);
        assert_eq!(left(LockAfter { idle: None, longest: None }, HOUR, HOUR), None);
        let short = LockAfter { idle: Some(Duration::ZERO), longest: None };
        assert_eq!(left(short, Duration::ZERO, Duration::ZERO), Some(Duration::ZERO));
    }

    fn since(autolock: &Autolock) -> Moment {
        autolock.open.borrow().as_ref().unwrap().since
    }

    #[test]
    fn a_use_puts_the_idle_end_off_and_not_the_last_one() {
        let autolock = Autolock::new(LockAfter { idle: Some(HOUR), longest: Some(2 * HOUR) });
        autolock.used();
        assert_eq!(autolock.deadline(), None, "a use opens nothing");
        autolock.opened(Vec::new());
        let (first, opened) = (autolock.deadline().unwrap(), since(&autolock));
        autolock.used();
        assert!(autolock.deadline().unwrap() >= first);
        assert_eq!(since(&autolock), opened);
        autolock.locked();
        assert_eq!(autolock.left(), None);
    }

    /// The use and the end both wait for the keeper, and the use came first.
    #[tokio::test]
    async fn a_use_that_comes_as_the_time_is_over_puts_the_end_off() {
        // However long the machine has been up.
        let uptime = now();
        let half = Some(uptime / 2);
        for idle in [half, None] {
            let rooms = Fixture::start(LockAfter { idle, longest: half.xor(idle) }).await;
            rooms.make(rooms.opening()).await;
            let autolock = Arc::clone(&rooms.service.autolock);
            autolock.open.send_modify(|open| {
                let open = open.as_mut().unwrap();
                (open.since, open.used) = (Duration::ZERO, Duration::ZERO);
            });
            let mut used = std::pin::pin!(rooms.service.keeper.ask(move |_house| autolock.used()));
            assert!(used.as_mut().now_or_never().is_none(), "it waits for the keeper");
            let mut locks = std::pin::pin!(Arc::clone(&rooms.service).lock_in_time());
            assert!(locks.as_mut().now_or_never().is_none());
            used.await.unwrap();
            assert!(locks.as_mut().now_or_never().is_none());
            assert_eq!(rooms.is_open().await, idle.is_some(), "a use does not put off the last end");
        }
    }
}
