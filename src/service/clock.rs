//! The daemon's two clocks, and whether they still agree. One-time codes and signatures depend on the wall
//! clock, which anybody may have set; the boot clock only ever goes forward, also during sleep.

use std::sync::Mutex;

/// How far the wall clock may drift from the boot clock before it must be confirmed, in seconds.
const TOLERANCE: i128 = 5 * 60;

/// A source of both times, in nanoseconds.
pub trait Clock: Send + Sync {
    /// Since 1970-01-01 UTC.
    fn wall(&self) -> i128;
    /// Since boot, sleep included (`CLOCK_BOOTTIME`).
    fn boot(&self) -> i128;
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> i128 {
        read(libc::CLOCK_REALTIME)
    }

    fn boot(&self) -> i128 {
        read(libc::CLOCK_BOOTTIME)
    }
}

/// Through the C library, so that a test can put another clock underneath.
#[expect(unsafe_code, reason = "rustix asks the kernel directly, where no test can set the clock")]
fn read(clock: libc::clockid_t) -> i128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to write to, and lives past it.
    let _valid_clock = unsafe { libc::clock_gettime(clock, &raw mut time) };
    i128::from(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(i128::from(time.tv_nsec))
}

/// The wall clock, watched.
pub struct Watch {
    clock: Box<dyn Clock>,
    /// Wall minus boot when the wall clock was last believed.
    offset: Mutex<i128>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Believes the wall clock as it is now.
    pub fn new(clock: Box<dyn Clock>) -> Self {
        let offset = clock.wall().saturating_sub(clock.boot());
        Self { clock, offset: Mutex::new(offset) }
    }

    /// Seconds since 1970-01-01 UTC by the wall clock, believed or not.
    pub fn now(&self) -> u64 {
        seconds(self.clock.wall())
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn now_millis(&self) -> u64 {
        u64::try_from(self.clock.wall().div_euclid(1_000_000)).unwrap_or(0)
    }

    /// Seconds since boot.
    pub fn boot_seconds(&self) -> u64 {
        seconds(self.clock.boot())
    }

    /// By how many seconds the wall clock has jumped since it was last believed; `None`: it has not.
    pub fn jump(&self) -> Option<i64> {
        let believed = self.offset.lock().map_or(0, |offset| *offset);
        let jump = self.clock.wall().saturating_sub(self.clock.boot()).saturating_sub(believed);
        let jump = jump.div_euclid(1_000_000_000);
        (jump.abs() > TOLERANCE).then(|| i64::try_from(jump).unwrap_or(i64::MAX))
    }

    /// How far the wall clock is ahead of the boot clock now; shown in a prompt, it can be confirmed.
    pub fn offset(&self) -> Offset {
        Offset(self.clock.wall().saturating_sub(self.clock.boot()))
    }

    /// Somebody has seen the time of `shown` in a prompt and agreed to it. Whether it still is the time.
    pub fn confirm(&self, shown: Offset) -> bool {
        let now = self.offset();
        if now.0.saturating_sub(shown.0).abs() > TOLERANCE.saturating_mul(1_000_000_000) {
            return false;
        }
        if let Ok(mut offset) = self.offset.lock() {
            *offset = now.0;
        }
        true
    }
}

/// Wall minus boot, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Offset(i128);

fn seconds(nanoseconds: i128) -> u64 {
    u64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Set(Arc<AtomicI64>);

    impl Clock for Set {
        fn wall(&self) -> i128 {
            i128::from(self.0.load(Ordering::Relaxed)).saturating_mul(1_000_000_000)
        }
        fn boot(&self) -> i128 {
            5_000_000_000
        }
    }

    #[test]
    fn a_jump_either_way_is_seen_until_it_is_confirmed() {
        let wall = Arc::new(AtomicI64::new(1_000_000));
        let watch = Watch::new(Box::new(Set(wall.clone())));
        assert_eq!(watch.jump(), None);
        wall.store(1_000_299, Ordering::Relaxed);
        assert_eq!(watch.jump(), None, "five minutes are drift");
        wall.store(1_000_301, Ordering::Relaxed);
        assert_eq!(watch.jump(), Some(301));
        wall.store(990_000, Ordering::Relaxed);
        assert_eq!(watch.jump(), Some(-10_000));
        let shown = watch.offset();
        wall.store(980_000, Ordering::Relaxed);
        assert!(!watch.confirm(shown), "another jump since the prompt was made");
        assert_eq!(watch.jump(), Some(-20_000));
        assert!(watch.confirm(watch.offset()));
        assert_eq!(watch.jump(), None);
    }
}
