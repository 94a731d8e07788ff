//! The terminal the command was started from: `/dev/tty`, never standard input or output.

use crate::cli::output::plain;
use crate::cli::refusal::Refusal;
use crate::secret::Pin;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// Longer than any token takes.
const LONGEST: usize = 255;

pub(super) struct Terminal(Arc<Shared>);

struct Shared {
    device: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The settings to go back to, while a PIN is typed.
    saved: Option<Termios>,
    /// How many rows the message on show fills.
    rows: usize,
    watched: bool,
}

impl Terminal {
    /// The controlling terminal, if there is one and this process is in its foreground: a background process
    /// would be stopped instead of asking.
    pub(super) fn open() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let device = rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?;
        let foreground = rustix::termios::tcgetpgrp(&device).ok()?;
        (foreground == rustix::process::getpgrp())
            .then(|| Self(Arc::new(Shared { device, state: Mutex::default() })))
    }

    /// Shows a message until [`Self::clear`].
    pub(super) fn show(&self, message: &str) {
        self.clear();
        let message = plain(message);
        // A terminal that does not know its size says 0.
        let size = rustix::termios::tcgetwinsize(&self.0.device).ok().filter(|size| size.ws_col > 0);
        let width = size.map_or(80, |size| usize::from(size.ws_col));
        self.0.write(message.as_bytes());
        self.0.state().rows = message.chars().count().max(1).div_ceil(width);
    }

    /// Takes the message away.
    pub(super) fn clear(&self) {
        let rows = std::mem::take(&mut self.0.state().rows);
        for row in 0..rows {
            self.0.write(if row == 0 { b"\r\x1b[K" } else { b"\x1b[A\x1b[K" });
        }
    }

    /// Asks for a PIN, without showing what is typed.
    pub(super) async fn ask(&self, question: &str) -> Result<Pin, Refusal> {
        let quiet = self.quiet()?;
        self.show(question);
        let mut typed = Typed::default();
        let heard = |byte| match typed.key(byte) {
            Key::More => None,
            Key::Enter => Some(Ok(typed.pin())),
            Key::Cancel => Some(Err(Refusal::Cancelled)),
        };
        self.listen(&quiet, heard).await?
    }

    /// While the result lives, nothing shows that is typed.
    pub(super) fn quiet(&self) -> Result<Quiet, Refusal> {
        self.watch_signals();
        Quiet::new(Arc::clone(&self.0)).map_err(|errno| broken(errno.into()))
    }

    /// Every byte that is typed, until one of them gives a result.
    pub(super) async fn listen<T>(
        &self,
        _quiet: &Quiet,
        mut heard: impl FnMut(u8) -> Option<T>,
    ) -> Result<T, Refusal> {
        let device = self.0.device.try_clone().map_err(broken)?;
        // Not a pipe: this is tokio's one safe wrapper for a descriptor that can be waited for and read.
        let device = Receiver::from_file_unchecked(device.into()).map_err(broken)?;
        loop {
            device.readable().await.map_err(broken)?;
            let mut piece = Zeroizing::new([0_u8; 64]);
            let count = match device.try_read(piece.as_mut_slice()) {
                Ok(0) => return Err(Refusal::Cancelled),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) => return Err(broken(error)),
            };
            let found = piece.get(..count).unwrap_or_default().iter().find_map(|byte| heard(*byte));
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// From the first PIN prompt on, a signal that ends the command gives the terminal its echo back first.
    fn watch_signals(&self) {
        if std::mem::replace(&mut self.0.state().watched, true) {
            return;
        }
        let shared = Arc::clone(&self.0);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        for (kind, mut stream) in kinds.into_iter().filter_map(|kind| Some((kind, signal(kind).ok()?))) {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                stream.recv().await;
                shared.restore();
                shared.write(b"\n");
                // As a shell reports a process that the signal ended.
                std::process::exit(kind.as_raw_value().saturating_add(128));
            });
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn broken(error: std::io::Error) -> Refusal {
    Refusal::Terminal(error.to_string())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        // A terminal that takes nothing more loses a message; it must not hold up the command.
        while let Some(count) = rustix::io::write(&self.device, rest).ok().filter(|count| *count > 0) {
            rest = rest.get(count..).unwrap_or_default();
        }
    }

    fn restore(&self) {
        if let Some(saved) = self.state().saved.take() {
            // What was typed too much goes away with it, and not into the shell.
            let _gone = rustix::termios::tcsetattr(&self.device, OptionalActions::Flush, &saved);
        }
    }
}

/// While this lives, the terminal shows nothing that is typed and sends every key, Ctrl-C among them, as a byte.
pub(super) struct Quiet(Arc<Shared>);

impl Quiet {
    fn new(shared: Arc<Shared>) -> Result<Self, Errno> {
        let saved = rustix::termios::tcgetattr(&shared.device)?;
        let mut quiet = saved.clone();
        let off = LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN;
        quiet.local_modes.remove(off);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        shared.state().saved = Some(saved);
        let this = Self(shared);
        rustix::termios::tcsetattr(&this.0.device, OptionalActions::Flush, &quiet)?;
        Ok(this)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.0.restore();
    }
}

pub(super) enum Key {
    More,
    Enter,
    Cancel,
}

/// What has been typed so far; it never grows, so that no copy stays behind.
pub(super) struct Typed {
    bytes: Zeroizing<[u8; LONGEST]>,
    length: usize,
}

impl Default for Typed {
    fn default() -> Self {
        Self { bytes: Zeroizing::new([0; LONGEST]), length: 0 }
    }
}

impl Typed {
    pub(super) fn key(&mut self, byte: u8) -> Key {
        match byte {
            b'\n' | b'\r' => return Key::Enter,
            // Ctrl-C, Ctrl-D, Escape.
            0x03 | 0x04 | 0x1b => return Key::Cancel,
            // Ctrl-U.
            0x15 => self.length = 0,
            0x08 | 0x7f => self.backspace(),
            byte if byte.is_ascii_control() => {}
            byte => {
                if let Some(place) = self.bytes.get_mut(self.length) {
                    *place = byte;
                    self.length = self.length.saturating_add(1);
                }
            }
        }
        Key::More
    }

    /// Takes a whole UTF-8 character away: its continuation bytes and what leads them.
    fn backspace(&mut self) {
        while let Some(last) = self.length.checked_sub(1) {
            self.length = last;
            if self.bytes.get(last).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000) {
                return;
            }
        }
    }

    pub(super) fn pin(&self) -> Pin {
        Pin::copy_from(self.bytes.get(..self.length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Vec<u8> {
        let mut typed = Typed::default();
        for key in keys {
            assert!(matches!(typed.key(*key), Key::More));
        }
        typed.pin().with(<[u8]>::to_vec)
    }

    #[test]
    fn keys_edit_the_pin() {
        assert_eq!(typed(b"12\x7f34"), b"134");
        assert_eq!(typed(b"wrong\x1512"), b"12");
        assert_eq!(typed("1€\u{7f}2".as_bytes()), b"12");
        assert_eq!(typed(b"\x7f\x7f1"), b"1");
        assert_eq!(typed(b"1\t\x012"), b"12");
        assert_eq!(typed(&[b'1'; 400]).len(), LONGEST);
    }

    #[test]
    fn enter_ends_and_control_c_cancels() {
        assert!(matches!(Typed::default().key(b'\r'), Key::Enter));
        assert!(matches!(Typed::default().key(0x03), Key::Cancel));
    }
}
