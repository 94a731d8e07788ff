//! Readers and whether a card is in them.

use super::{ReaderError, service_socket};
use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};
use std::ffi::{CStr, CString};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longer than anybody waits, and short enough for libpcsclite, which counts milliseconds in 31 bits. Without a limit
/// it would look up every minute.
const FOR_EVER: Duration = Duration::from_hours(20 * 24);
/// How often a list that changes while it is read is asked for.
const ATTEMPTS: usize = 8;
/// Readers at most; pcscd has 16, and newer ones more.
const MAX_READERS: usize = 32;
/// How many states older pcsc-lite takes in one question: all its readers, and then no announcer of further ones.
const MAX_STATES: usize = 16;
/// How long what is no change to us is left alone, whoever makes it.
const BREATH: Duration = Duration::from_millis(200);

/// A reader that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    pub(super) name: CString,
    atr: Option<Vec<u8>>,
    /// How often pcscd has seen a card come or go in it.
    moves: u32,
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
    /// What was listed last, the announcer of readers at the end.
    seen: Vec<ReaderState>,
}

impl Readers {
    /// Connects.
    ///
    /// # Errors
    /// [`ReaderError::NotRunning`], [`ReaderError::Denied`].
    pub fn connect() -> Result<Self, ReaderError> {
        let mut established = Context::establish(Scope::System);
        if matches!(established, Err(Error::NoService)) && somebody_listens() {
            // It may have started just now.
            established = Context::establish(Scope::System);
        }
        match established {
            Ok(context) => Ok(Self { context, seen: Vec::new() }),
            // It hangs up on whom polkit refuses. Where that comes before the first message is sent whole, PC/SC takes
            // it for absent.
            Err(Error::NoService) if somebody_listens() => Err(ReaderError::Denied),
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
        if self.seen.len() != MAX_STATES {
            self.seen.push(ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE));
        }
        match self.context.get_status_change(Duration::ZERO, &mut self.seen) {
            // A reader may have gone in between: the others are told all the same.
            Ok(()) | Err(Error::Timeout | Error::UnknownReader) => {}
            Err(error) => return Err(failed(error)),
        }
        // With it goes the number of readers that have come and gone, by which pcsc-lite 2.3 and newer notice one that
        // came before the wait began.
        self.seen.iter_mut().for_each(ReaderState::sync_current_state);
        Ok(self.listed())
    }

    fn listed(&self) -> Vec<Reader> {
        let known =
            |state: &&ReaderState| !state.event_state().intersects(State::UNKNOWN | State::UNAVAILABLE);
        let readers = self.seen.iter().filter(|state| state.name() != PNP_NOTIFICATION());
        readers.filter(known).map(reader).collect()
    }

    /// Blocks until [`Self::list`] says something else than it did last, and returns what it says then; or when it is
    /// interrupted. Costs nothing meanwhile. To be called after a [`Self::list`].
    ///
    /// Before pcsc-lite 2.3, a reader that comes between listing and waiting is not announced: whoever waits has
    /// somebody else list afresh a moment later, and interrupts it where that differs.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn wait(&mut self) -> Result<Vec<Reader>, ReaderError> {
        let before = self.listed();
        loop {
            let result = self.context.get_status_change(FOR_EVER, &mut self.seen);
            match result {
                Ok(()) | Err(Error::UnknownReader | Error::Timeout | Error::Cancelled) => {}
                Err(error) => return Err(failed(error)),
            }
            let now = self.list()?;
            // Somebody's use of a card is a change to PC/SC, and none to us.
            if now != before || result == Err(Error::Cancelled) {
                return Ok(now);
            }
            std::thread::sleep(BREATH);
        }
    }

    /// A way to end [`Self::wait`] from another thread.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.context.clone())
    }
}

/// Ends the wait of a [`Readers`].
pub struct Interrupt(Context);

impl Interrupt {
    /// Has it list afresh. Without effect where it does not wait.
    pub fn interrupt(&self) {
        let _it_ended_by_itself = self.0.cancel();
    }
}

/// Whether anything answers at pcscd's socket.
fn somebody_listens() -> bool {
    UnixStream::connect(service_socket()).is_ok()
}

fn names(context: &Context) -> Result<Vec<CString>, ReaderError> {
    match settled(|| context.list_readers_owned()) {
        Ok(mut names) => {
            names.truncate(MAX_READERS);
            Ok(names)
        }
        Err(Error::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

/// The length of a list is asked for before the list, which may have grown by then.
fn settled<T>(list: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut lists = std::iter::repeat_with(list).take(ATTEMPTS);
    let fits = |list: &Result<T, Error>| !matches!(list, Err(Error::InsufficientBuffer));
    lists.find(fits).unwrap_or(Err(Error::InsufficientBuffer))
}

fn reader(state: &ReaderState) -> Reader {
    let event = state.event_state();
    let present = event.contains(State::PRESENT) && !event.contains(State::MUTE);
    Reader {
        name: CStr::to_owned(state.name()),
        atr: present.then(|| state.atr().to_vec()),
        moves: state.event_count(),
    }
}

pub(super) fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("pcsc".into()).stack_size(256 * 1024)
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
    fn a_list_that_grows_while_it_is_read_is_read_again() {
        let mut answers = [Err(Error::InsufficientBuffer), Ok(1), Ok(2)].into_iter();
        assert_eq!(settled(|| answers.next().unwrap()), Ok(1));
        assert_eq!(settled(|| Err::<(), _>(Error::NoService)), Err(Error::NoService));
        // One that always does is a failure, and no endless loop.
        assert_eq!(settled(|| Err::<(), _>(Error::InsufficientBuffer)), Err(Error::InsufficientBuffer));
    }

    #[test]
    fn vpcds_readers_are_virtual() {
        let reader = |name: &CStr| Reader { name: name.to_owned(), atr: None, moves: 0 };
        assert!(reader(c"Virtual PCD 00 00").is_virtual());
        assert!(!reader(c"Yubico YubiKey OTP+FIDO+CCID 00 00").is_virtual());
    }

    #[test]
    fn what_pcscd_says_has_a_meaning() {
        assert_eq!(failed(Error::ServiceStopped), ReaderError::Stopped);
        assert_eq!(failed(Error::SecurityViolation), ReaderError::Denied);
        assert_eq!(failed(Error::NoMemory), ReaderError::Failed(0x8010_0006));
    }
}
