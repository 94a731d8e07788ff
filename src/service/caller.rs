//! Who asks. Only the user id decides anything; the rest is shown to people as a hint.

use super::error::Error;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use tokio::sync::watch;

/// One connection's other end.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user id, as the kernel says.
    pub uid: u32,
    /// The process id, as the kernel said when it connected.
    pub pid: u32,
    /// What `/proc` calls that process, and its parent: anybody can make these up.
    pub says_it_is: Option<String>,
    /// Why it wants what it asks for now, for the audit log.
    pub why: Option<Why>,
    /// Distinguishes connections of the same process.
    pub connection: String,
    /// Closed when the caller is gone.
    pub presence: watch::Receiver<()>,
}

impl Caller {
    /// A caller whose hints are read from `/proc` now.
    pub fn new(uid: u32, pid: u32, connection: String, presence: watch::Receiver<()>) -> Self {
        Self { uid, pid, says_it_is: hint(pid), why: None, connection, presence }
    }

    /// The same caller, with its reason for one request.
    ///
    /// # Errors
    /// [`Error::Invalid`], as [`Why::new`].
    pub fn because(self, reason: Option<String>) -> Result<Self, Error> {
        Ok(Self { why: reason.map(Why::new).transpose()?, ..self })
    }

    /// Waits until the caller is gone.
    pub async fn gone(&self) {
        let mut presence = self.presence.clone();
        while presence.changed().await.is_ok() {}
    }
}

/// A caller's own words on why it asks: they go into the audit log, and are shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why(String);

impl Why {
    const LONGEST: usize = 256;

    /// Takes 1 to 256 bytes without control characters.
    ///
    /// # Errors
    /// [`Error::Invalid`] otherwise.
    pub fn new(reason: String) -> Result<Self, Error> {
        if reason.is_empty() || reason.len() > Self::LONGEST || reason.chars().any(char::is_control) {
            return Err(Error::Invalid(
                "a reason has 1 to 256 bytes, none of them a control character".to_owned(),
            ));
        }
        Ok(Self(reason))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "uid {}", self.uid)?;
        match &self.says_it_is {
            Some(hint) => write!(formatter, " (says it is: {hint}, pid {})", self.pid),
            None => write!(formatter, " (pid {})", self.pid),
        }
    }
}

fn hint(pid: u32) -> Option<String> {
    let own = name(pid)?;
    Some(match parent(pid).and_then(name) {
        Some(parent) => format!("{own}, started by {parent}"),
        None => own,
    })
}

fn name(pid: u32) -> Option<String> {
    let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name: String = executable
        .file_name()?
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(64)
        .collect();
    (!name.is_empty()).then_some(name)
}

fn parent(pid: u32) -> Option<u32> {
    // One read: the line stands near the beginning, and the kernel makes the text anew for each.
    let mut start = [0; 512];
    let length = File::open(format!("/proc/{pid}/status")).ok()?.read(&mut start).ok()?;
    let status = String::from_utf8_lossy(start.get(..length)?);
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    (parent > 1).then_some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_drives_no_terminal() {
        for good in ["a", "break glass: \u{1f525}", &"x".repeat(256)] {
            assert_eq!(Why::new(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "\u{1b}[2J", "a\nb", "a\u{9b}31m", "a\0", &"x".repeat(257), &"x".repeat(1 << 20)] {
            assert!(matches!(Why::new(bad.to_owned()), Err(Error::Invalid(_))));
        }
    }
}
