//! The button. The authenticator's thread waits here; a test, a timer or a cancel ends the wait.

use std::{
    fmt,
    str::FromStr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// How the token comes by a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Somebody touches it at once.
    Auto,
    /// Nobody ever touches it.
    Never,
    /// It is touched when the control socket says so.
    Demand,
    /// Somebody touches it this long after it began to ask.
    After(Duration),
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            "demand" => Ok(Self::Demand),
            _ => text
                .strip_prefix("after:")
                .and_then(|millis| millis.parse().ok())
                .map(|millis| Self::After(Duration::from_millis(millis)))
                .ok_or("the touch mode is one of auto, never, demand, after:MILLISECONDS"),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Never => f.write_str("never"),
            Self::Demand => f.write_str("demand"),
            Self::After(wait) => write!(f, "after:{}", wait.as_millis()),
        }
    }
}

/// Upper bound of one sleep, so that the authenticator's own timeout is looked at now and then.
const NAP: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Button {
    mode: Mode,
    waiting_since: Option<Instant>,
    pressed: bool,
    woken: bool,
    given: u64,
}

/// The button and what is known about it.
#[derive(Debug)]
pub struct Touch {
    button: Mutex<Button>,
    changed: Condvar,
    waiting: watch::Sender<bool>,
}

impl Touch {
    /// A button that nobody waits for.
    pub fn new(mode: Mode) -> Self {
        Self {
            button: Mutex::new(Button { mode, waiting_since: None, pressed: false, woken: false, given: 0 }),
            changed: Condvar::new(),
            waiting: watch::Sender::new(false),
        }
    }

    fn button(&self) -> MutexGuard<'_, Button> {
        self.button.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until something happened that the authenticator should look at. Its own thread calls this.
    pub fn pause(&self) {
        let mut button = self.button();
        if button.mode == Mode::Auto || button.pressed {
            return;
        }
        let since = *button.waiting_since.get_or_insert_with(Instant::now);
        self.waiting.send_replace(true);
        let nap = match button.mode {
            Mode::After(wait) => wait.saturating_sub(since.elapsed()).min(NAP),
            Mode::Auto | Mode::Never | Mode::Demand => NAP,
        };
        let (mut button, _) = self
            .changed
            .wait_timeout_while(button, nap, |button| {
                !button.pressed && !button.woken && button.mode != Mode::Auto
            })
            .unwrap_or_else(PoisonError::into_inner);
        button.woken = false;
    }

    /// Whether the token has been touched; a touch counts once. The authenticator's thread calls this.
    pub fn take(&self) -> bool {
        let mut button = self.button();
        let waited = button.waiting_since.map(|since| since.elapsed());
        let by_itself = match (button.mode, waited) {
            (Mode::Auto, _) => true,
            (Mode::After(wait), Some(waited)) => waited >= wait,
            (Mode::After(_) | Mode::Never | Mode::Demand, _) => false,
        };
        if by_itself && !button.pressed {
            button.given = button.given.saturating_add(1);
        }
        let touched = by_itself || button.pressed;
        if touched {
            self.rest(&mut button);
        }
        touched
    }

    /// The request is over, however it ended.
    pub fn release(&self) {
        self.rest(&mut self.button());
    }

    fn rest(&self, button: &mut Button) {
        button.pressed = false;
        self.end_wait(button);
    }

    fn end_wait(&self, button: &mut Button) {
        button.waiting_since = None;
        self.waiting.send_replace(false);
    }

    /// Touches the token, whatever its mode. It waits no longer when this returns, though its thread has yet
    /// to see it: so whoever waits for the next wait does not find this one.
    ///
    /// # Errors
    /// When it does not wait for a touch: one given in advance would answer some later question.
    pub fn press(&self) -> Result<(), &'static str> {
        let mut button = self.button();
        if button.waiting_since.is_none() {
            return Err("the token does not wait for a touch");
        }
        button.pressed = true;
        button.given = button.given.saturating_add(1);
        self.end_wait(&mut button);
        self.changed.notify_all();
        Ok(())
    }

    /// Wakes the authenticator's thread, so that it sees that it was cancelled.
    pub fn wake(&self) {
        self.button().woken = true;
        self.changed.notify_all();
    }

    /// Changes how touches come about, for a wait that is under way too.
    pub fn set_mode(&self, mode: Mode) {
        let mut button = self.button();
        button.mode = mode;
        button.woken = true;
        self.changed.notify_all();
    }

    /// How touches come about.
    pub fn mode(&self) -> Mode {
        self.button().mode
    }

    /// How many touches were given so far.
    pub fn given(&self) -> u64 {
        self.button().given
    }

    /// Follows whether the token waits for a touch.
    pub fn waiting(&self) -> watch::Receiver<bool> {
        self.waiting.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_parse_and_print_alike() {
        for text in ["auto", "never", "demand", "after:250"] {
            assert_eq!(text.parse::<Mode>().unwrap().to_string(), text);
        }
        for text in ["", "Auto", "after:", "after:-1", "after:x"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_touch_in_advance_is_refused_and_one_in_time_counts_once() {
        let touch = Touch::new(Mode::Demand);
        assert!(touch.press().is_err());
        touch.wake();
        touch.pause();
        assert!(*touch.waiting().borrow());
        assert!(!touch.take());
        touch.press().unwrap();
        assert!(!*touch.waiting().borrow());
        assert!(touch.press().is_err(), "this wait is over");
        touch.pause();
        assert!(!*touch.waiting().borrow());
        assert!(touch.take());
        assert!(!touch.take());
        assert_eq!(touch.given(), 1);
    }

    #[test]
    fn a_finished_request_leaves_no_touch_behind() {
        let touch = Touch::new(Mode::Never);
        touch.wake();
        touch.pause();
        touch.press().unwrap();
        touch.release();
        assert!(!touch.take());
        assert!(touch.press().is_err());
    }
}
