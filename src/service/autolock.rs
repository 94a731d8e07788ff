//! Locking by itself: a while after the vault was last used, and at the latest so long after it was opened. Time goes on
//! while the machine sleeps, and cannot be set (`CLOCK_BOOTTIME`).

use super::Service;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

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

/// Since boot.
type Moment = Duration;

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Moment,
    used: Moment,
}

/// Knows since when the vault is open, and when it was last used.
#[derive(Debug)]
pub(super) struct Autolock {
    after: LockAfter,
    open: Mutex<Option<Open>>,
    changed: Notify,
}

impl Autolock {
    pub(super) fn new(after: LockAfter) -> Self {
        Self { after, open: Mutex::default(), changed: Notify::new() }
    }

    /// The vault was opened just now.
    pub(super) fn opened(&self) {
        let now = now();
        if let Ok(mut open) = self.open.lock() {
            *open = Some(Open { since: now, used: now });
        }
        self.changed.notify_one();
    }

    /// Something that is behind a lock was used. Nobody is woken: the time is looked at when it seems to be over.
    pub(super) fn used(&self) {
        if let Ok(mut open) = self.open.lock()
            && let Some(open) = open.as_mut()
        {
            open.used = now();
        }
    }

    pub(super) fn locked(&self) {
        if let Ok(mut open) = self.open.lock() {
            *open = None;
        }
        self.changed.notify_one();
    }

    /// When it will lock, as things are.
    fn deadline(&self) -> Option<Moment> {
        let Open { since, used } = (*self.open.lock().ok()?)?;
        let idle = self.after.idle.and_then(|idle| used.checked_add(idle));
        let longest = self.after.longest.and_then(|longest| since.checked_add(longest));
        idle.into_iter().chain(longest).min()
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
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let timer = register(timer)?;
        loop {
            match self.autolock.deadline() {
                Some(deadline) if deadline <= now() => {
                    tracing::info!(
                        "the vault was not used for long enough, or open for too long: it is locked"
                    );
                    if self.lock().await.is_err() {
                        // The daemon is stopping, and locks by itself.
                        return Ok(());
                    }
                    continue;
                }
                deadline => set(&timer, deadline)?,
            }
            tokio::select! {
                () = self.autolock.changed.notified() => {}
                over = timer.readable() => over?.clear_ready(),
            }
        }
    }

    /// When the vault will lock by itself, as things are: seconds since 1970-01-01 UTC.
    pub fn lock_deadline(&self) -> Option<u64> {
        self.autolock.left().map(|left| self.clock.now().saturating_add(left.as_secs()))
    }
}

#[expect(unsafe_code, reason = "tokio asks for a promise that the type keeps")]
fn register(timer: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd owns one descriptor from when it is made until it is dropped, and stays inside the AsyncFd.
    Ok(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?)
}

/// `None`: never.
fn set(timer: &AsyncFd<OwnedFd>, deadline: Option<Moment>) -> std::io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let at = deadline.and_then(|deadline| Timespec::try_from(deadline).ok()).unwrap_or(zero);
    let once = Itimerspec { it_interval: zero, it_value: at };
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
    Ok(())
}

fn now() -> Moment {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn left(after: LockAfter, since: Duration, used: Duration) -> Option<Duration> {
        let autolock = Autolock::new(after);
        let now = now();
        let ago = |time: Duration| now.saturating_sub(time);
        *autolock.open.lock().unwrap() = Some(Open { since: ago(since), used: ago(used) });
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

    #[test]
    fn a_use_puts_the_idle_end_off_and_not_the_last_one() {
        let autolock = Autolock::new(LockAfter { idle: Some(HOUR), longest: Some(2 * HOUR) });
        autolock.used();
        assert_eq!(autolock.deadline(), None, "a use opens nothing");
        autolock.opened();
        let (first, since) = (autolock.deadline().unwrap(), autolock.open.lock().unwrap().unwrap().since);
        autolock.used();
        assert!(autolock.deadline().unwrap() >= first);
        assert_eq!(autolock.open.lock().unwrap().unwrap().since, since);
        autolock.locked();
        assert_eq!(autolock.left(), None);
    }
}
