//! PINs typed on a terminal.

use crate::mock::{Mock, Plan};
use crate::{failed, pin, said};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::LocalModes;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};

/// A terminal of our own with a command in its foreground.
struct Terminal {
    master: std::fs::File,
    device: rustix::fd::OwnedFd,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    fn unlock(mock: &Mock) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let device = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let child = Command::new("setsid")
            .args(["-c", "-w", env!("CARGO_BIN_EXE_rootseal"), "unlock"])
            .env("ROOTSEAL_ADDRESS", mock.address())
            .stdin(device.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { master: master.into(), device, child, seen: Vec::new() }
    }

    fn settings(&self) -> LocalModes {
        rustix::termios::tcgetattr(&self.device).unwrap().local_modes
    }

    /// Types once the question is there.
    fn answer(&mut self, keys: &[u8]) {
        let mut piece = [0; 256];
        let asked =
            |seen: &[u8]| seen.ends_with(b": ") && seen.windows(11).any(|window| window == b"tries left)");
        while !asked(&self.seen) {
            let count = self.master.read(&mut piece).unwrap();
            self.seen.extend_from_slice(&piece[..count]);
        }
        self.master.write_all(keys).unwrap();
    }

    /// How the command ended, and all that was ever shown.
    fn end(self) -> (Output, Vec<u8>) {
        let Self { mut master, device, child, mut seen } = self;
        let output = child.wait_with_output().unwrap();
        drop(device);
        // Once nobody has the terminal open, its other side reads as an error after what is left in it.
        let _end = master.read_to_end(&mut seen);
        (output, seen)
    }
}

#[test]
fn a_pin_is_typed_on_the_terminal_unseen() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let mut terminal = Terminal::unlock(&mock);
    terminal.answer(b"12x\x7f3456\r");
    let (output, seen) = terminal.end();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(mock.events(), ["pin 123456"]);
    assert!(
        !seen.windows(2).any(|pair| pair == b"12" || pair == b"34"),
        "{}",
        String::from_utf8_lossy(&seen)
    );
}

#[test]
fn control_c_at_the_pin_prompt_cancels_and_restores_the_terminal() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let mut terminal = Terminal::unlock(&mock);
    let before = terminal.settings();
    terminal.answer(b"");
    assert!(!terminal.settings().contains(LocalModes::ECHO), "nothing shows while a PIN is typed");
    terminal.answer(b"12\x03");
    terminal.child.wait().unwrap();
    assert_eq!(terminal.settings(), before);
    failed(&terminal.end().0, 4, "cancelled");
}

#[test]
fn a_signal_at_the_pin_prompt_restores_the_terminal() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let mut terminal = Terminal::unlock(&mock);
    let before = terminal.settings();
    terminal.answer(b"12");
    // The session's leader is the command itself: setsid waits for it outside.
    let leader = rustix::termios::tcgetsid(&terminal.master).unwrap();
    rustix::process::kill_process(leader, rustix::process::Signal::TERM).unwrap();
    terminal.child.wait().unwrap();
    assert_eq!(terminal.settings(), before);
    assert_eq!(mock.events(), Vec::<String>::new());
}
