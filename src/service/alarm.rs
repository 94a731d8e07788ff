//! A timer by a clock that goes on while the machine sleeps, and that nobody can set (`CLOCK_BOOTTIME`).

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Since boot.
pub(super) type Moment = Duration;

pub(super) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// Within the runtime.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        register(timer).map(Self)
    }

    /// Returns at that moment, and now and then before; `None`: never.
    pub(super) async fn at(&self, moment: Option<Moment>) -> io::Result<()> {
        let Some(moment) = moment.and_then(|moment| Timespec::try_from(moment).ok()) else {
            return std::future::pending().await;
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: moment };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

#[expect(unsafe_code, reason = "tokio asks for a promise that the type keeps")]
fn register(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd owns one descriptor from when it is made until it is dropped, and stays inside the AsyncFd.
    Ok(unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?)
}

pub(super) fn now() -> Moment {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}
