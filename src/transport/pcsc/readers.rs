//! Readers and whether a card is in them.

use super::super::promise::promise;
use super::ReaderError;
use crate::channel::{ChannelError, Patience};
use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

/// How long one wait goes on before the list is looked at again: a reader that came between listing and waiting is
/// not announced.
const SLICE: Duration = Duration::from_secs(5);
/// Readers at most; pcscd has 16.
const MAX_READERS: usize = 32;

/// A reader that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    pub(super) name: CString,
    atr: Option<Vec<u8>>,
}

impl Reader {
    /// pcscd's name for it. Two of one kind differ in the numbers at its end (interface and slot), which belong to
    /// the name and may change when it is plugged in again.
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// The answer to reset of the card in it, if there is one.
    pub fn atr(&self) -> Option<&[u8]> {
        self.atr.as_deref()
    }

    /// Whether it is vpcd's: a card made of software, behind a network socket.
    pub fn is_virtual(&self) -> bool {
        self.name.to_bytes().starts_with(b"Virtual PCD")
    }
}

/// A connection to pcscd, by which readers are listed and watched.
pub struct Readers {
    context: Context,
    seen: Vec<ReaderState>,
}

impl Readers {
    /// Connects.
    ///
    /// # Errors
    /// [`ReaderError::NotRunning`], [`ReaderError::Denied`].
    pub fn connect() -> Result<Self, ReaderError> {
        match Context::establish(Scope::System) {
            Ok(context) => Ok(Self { context, seen: Vec::new() }),
            Err(Error::NoService) => Err(ReaderError::NotRunning),
            Err(error) => Err(failed(error)),
        }
    }

    /// All readers; none is fine.
    ///
    /// # Errors
    /// [`ReaderError::Stopped`], [`ReaderError::Denied`], [`ReaderError::Failed`].
    pub fn list(&mut self) -> Result<Vec<Reader>, ReaderError> {
        let states = names(&self.context)?.into_iter().map(|name| ReaderState::new(name, State::UNAWARE));
        self.seen = states.collect();
        if !self.seen.is_empty() {
            match self.context.get_status_change(Duration::ZERO, &mut self.seen) {
                // A reader may have gone in between: the others are told all the same.
                Ok(()) | Err(Error::Timeout | Error::UnknownReader) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.seen.iter_mut().for_each(ReaderState::sync_current_state);
        let known =
            |state: &&ReaderState| !state.event_state().intersects(State::UNKNOWN | State::UNAVAILABLE);
        Ok(self.seen.iter().filter(known).map(reader).collect())
    }

    /// Waits until something differs from what [`Self::list`] said last; it is to be called again then.
    ///
    /// # Errors
    /// As [`Self::list`]; [`ReaderError::TimedOut`], [`ReaderError::Cancelled`].
    pub fn wait(&mut self, patience: &Patience) -> Result<(), ReaderError> {
        let mut states = std::mem::take(&mut self.seen);
        let before: Vec<CString> = states.iter().map(|state| state.name().to_owned()).collect();
        states.push(ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE));
        let (promise, promised) = promise().map_err(given_up)?;
        let (context, deadline) = (self.context.clone(), patience.deadline);
        // Listing is quick, so the thread that waits alone is given up by a cancel.
        let started = thread().spawn(move || promise.keep(watch(&context, states, &before, deadline)));
        started.map_err(|_no_thread| ReaderError::Failed(Error::NoMemory as u32))?;
        promised.wait(patience).unwrap_or_else(|error| {
            let _over_anyway = self.context.cancel();
            Err(given_up(error))
        })
    }
}

/// On the thread: until something changes.
fn watch(
    context: &Context,
    mut states: Vec<ReaderState>,
    before: &[CString],
    deadline: Instant,
) -> Result<(), ReaderError> {
    loop {
        if names(context)? != before {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match context.get_status_change(left.min(SLICE), &mut states) {
            Ok(()) => return Ok(()),
            Err(Error::Timeout) if left > SLICE => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn names(context: &Context) -> Result<Vec<CString>, ReaderError> {
    match context.list_readers_owned() {
        Ok(mut names) => {
            names.truncate(MAX_READERS);
            Ok(names)
        }
        Err(Error::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

fn reader(state: &ReaderState) -> Reader {
    let event = state.event_state();
    let present = event.contains(State::PRESENT) && !event.contains(State::MUTE);
    Reader { name: CStr::to_owned(state.name()), atr: present.then(|| state.atr().to_vec()) }
}

pub(super) fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("pcsc".into()).stack_size(256 * 1024)
}

fn given_up(error: ChannelError) -> ReaderError {
    match error {
        ChannelError::TimedOut => ReaderError::TimedOut,
        ChannelError::Cancelled => ReaderError::Cancelled,
        ChannelError::Gone | ChannelError::Busy | ChannelError::Reset | ChannelError::Io(_) => {
            ReaderError::Stopped
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest of PC/SC's list is told as a number")]
fn failed(error: Error) -> ReaderError {
    match error {
        Error::NoService
        | Error::ServiceStopped
        | Error::InvalidHandle
        | Error::CommError
        | Error::Shutdown => ReaderError::Stopped,
        Error::SecurityViolation | Error::NoAccess => ReaderError::Denied,
        Error::Timeout => ReaderError::TimedOut,
        Error::Cancelled => ReaderError::Cancelled,
        other => ReaderError::Failed(other as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With pcscd or without, plainly.
    #[test]
    fn a_machine_with_any_readers_or_none_can_be_asked() {
        match Readers::connect() {
            Ok(mut readers) => assert!(readers.list().is_ok()),
            Err(error) => assert!(matches!(error, ReaderError::NotRunning | ReaderError::Denied), "{error}"),
        }
    }

    #[test]
    fn vpcds_readers_are_virtual() {
        let reader = |name: &CStr| Reader { name: name.to_owned(), atr: None };
        assert!(reader(c"Virtual PCD 00 00").is_virtual());
        assert!(!reader(c"Yubico YubiKey OTP+FIDO+CCID 00 00").is_virtual());
    }

    #[test]
    fn what_pcscd_says_has_a_meaning() {
        assert_eq!(failed(Error::ServiceStopped), ReaderError::Stopped);
        assert_eq!(failed(Error::SecurityViolation), ReaderError::Denied);
        assert_eq!(failed(Error::NoMemory), ReaderError::Failed(0x8010_0006));
        assert_eq!(given_up(ChannelError::Cancelled), ReaderError::Cancelled);
    }
}
