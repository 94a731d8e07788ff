//! What happens around the daemon that the vault is locked for.

use super::Service;
use super::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Something that happened to the machine, or to a user's session on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The machine is about to sleep.
    Sleep,
    /// The machine is about to stop.
    Shutdown,
    /// The session's screen was locked.
    SessionLock(Whose),
    /// Somebody else, or nobody, is in front of the seat by now.
    UserSwitch(Whose),
    /// The user's last session is over.
    Logout(Whose),
}

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The user.
    pub uid: u32,
    /// Whether it is at a screen and a keyboard of this machine, and not from afar.
    pub seated: bool,
}

/// Whose sessions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Those of the user that the daemon runs as.
    Own,
    /// Those of everybody who is at a seat of this machine.
    Seated,
}

/// For which occasions the vault is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockWhen {
    /// When the machine sleeps or stops.
    pub machine_sleeps: bool,
    /// When a session's screen is locked.
    pub session_locks: bool,
    /// When another user comes to the front, or the last session is over.
    pub user_switches: bool,
    /// When a token that opened it is away for so long. `None`: not for this reason.
    pub token_is_removed: Option<Duration>,
    /// Whose sessions count.
    pub counted: Counted,
}

impl Default for LockWhen {
    /// Always, and five seconds.
    fn default() -> Self {
        Self {
            machine_sleeps: true,
            session_locks: true,
            user_switches: true,
            token_is_removed: Some(Duration::from_secs(5)),
            counted: Counted::Own,
        }
    }
}

impl LockWhen {
    /// Whether any of it is told by what watches over machine and sessions.
    pub const fn follows_machine(&self) -> bool {
        self.machine_sleeps || self.session_locks || self.user_switches
    }

    fn counts(&self, whose: Whose) -> bool {
        match self.counted {
            Counted::Own => whose.uid == rustix::process::geteuid().as_raw(),
            Counted::Seated => whose.seated,
        }
    }

    /// Why the vault is locked for it, if it is.
    fn reason(&self, occasion: Occasion) -> Option<&'static str> {
        match occasion {
            Occasion::Sleep => self.machine_sleeps.then_some("the machine goes to sleep"),
            Occasion::Shutdown => self.machine_sleeps.then_some("the machine stops"),
            Occasion::SessionLock(whose) => {
                (self.session_locks && self.counts(whose)).then_some("the session was locked")
            }
            Occasion::UserSwitch(whose) => {
                (self.user_switches && self.counts(whose)).then_some("its user is not in front any more")
            }
            Occasion::Logout(whose) => {
                (self.user_switches && self.counts(whose)).then_some("its user logged out")
            }
        }
    }
}

impl Service {
    /// For which occasions it locks the vault.
    pub const fn lock_when(&self) -> &LockWhen {
        &self.settings.lock_when
    }

    /// Locks the vault, where the occasion is one to do so. When this returns, all is wiped.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn happened(&self, occasion: Occasion) -> Result<(), Error> {
        let Some(reason) = self.lock_when().reason(occasion) else { return Ok(()) };
        if matches!(occasion, Occasion::Sleep | Occasion::Shutdown) {
            // Others may hold the sleep up: until it is over, nothing is opened.
            self.asleep.store(true, Ordering::Relaxed);
        }
        self.lock_because(reason).await
    }

    /// The machine did not sleep or stop, or is awake again.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Refuses to open anything while the machine is about to sleep or stop.
    pub(super) fn is_awake(&self) -> Result<(), Error> {
        if self.asleep.load(Ordering::Relaxed) { Err(Error::GoingToSleep) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_session_it_is_counts() {
        let own = rustix::process::geteuid().as_raw();
        let other = own.wrapping_add(1);
        let when = LockWhen::default();
        let everybody = LockWhen { counted: Counted::Seated, ..when };
        for seated in [true, false] {
            for occasion in [Occasion::SessionLock, Occasion::UserSwitch, Occasion::Logout] {
                let of = |uid| occasion(Whose { uid, seated });
                assert!(when.reason(of(own)).is_some());
                assert_eq!(when.reason(of(other)), None);
                assert_eq!(everybody.reason(of(other)).is_some(), seated, "one from afar is at no seat");
            }
        }
    }

    #[test]
    fn each_can_be_left_out() {
        let whose = Whose { uid: rustix::process::geteuid().as_raw(), seated: true };
        let all = [
            Occasion::Sleep,
            Occasion::Shutdown,
            Occasion::SessionLock(whose),
            Occasion::UserSwitch(whose),
            Occasion::Logout(whose),
        ];
        let reasons = |when: LockWhen| all.map(|occasion| when.reason(occasion).is_some());
        let when = LockWhen::default();
        assert_eq!(reasons(when), [true; 5]);
        assert_eq!(reasons(LockWhen { machine_sleeps: false, ..when }), [false, false, true, true, true]);
        assert_eq!(reasons(LockWhen { session_locks: false, ..when }), [true, true, false, true, true]);
        assert_eq!(reasons(LockWhen { user_switches: false, ..when }), [true, true, true, false, false]);
        let none = LockWhen { machine_sleeps: false, session_locks: false, user_switches: false, ..when };
        assert!(when.follows_machine() && !none.follows_machine());
    }
}
