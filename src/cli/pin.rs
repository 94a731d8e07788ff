//! PINs from files: which token a file serves, and when it must not.

use crate::cli::refusal::Refusal;
use crate::dbus::proxy::PinRequest;
use crate::secret::Pin;
use clap::builder::{OsStringValueParser, TypedValueParser};
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No token takes a longer one (CTAP 2.1 section 6.5.1: 63 bytes).
const LONGEST: usize = 255;

/// `[TOKEN=]PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PinFile {
    token: Option<String>,
    path: PathBuf,
}

impl PinFile {
    pub(super) fn value_parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|text: OsString| Self::parse(&text))
    }

    /// A `=` after a slash belongs to the path: `./a=b` names a file.
    fn parse(text: &OsStr) -> Result<Self, &'static str> {
        let bytes = text.as_bytes();
        let equals = bytes.iter().position(|byte| *byte == b'=');
        let (token, path) = match equals.and_then(|at| bytes.split_at_checked(at)) {
            Some((token, rest)) if !token.is_empty() && !token.contains(&b'/') => {
                let token = std::str::from_utf8(token).map_err(|_not_text| "a token id is plain text")?;
                (Some(token.to_owned()), rest.get(1..).unwrap_or_default())
            }
            Some(_) | None => (None, bytes),
        };
        if path.is_empty() {
            return Err("a path is missing");
        }
        Ok(Self { token, path: PathBuf::from(OsStr::from_bytes(path)) })
    }
}

struct Entry {
    file: PinFile,
    /// The token that this file serves: named, or the first one that asked.
    serves: Option<String>,
    /// Kept, because a pipe can be read only once and a command may need the PIN twice.
    pin: Option<Pin>,
    /// The token did not take it.
    failed: bool,
}

/// The PIN files of one command.
pub(super) struct PinFiles(Vec<Entry>);

impl PinFiles {
    pub(super) fn new(files: Vec<PinFile>) -> Self {
        let entry = |file: PinFile| Entry { serves: file.token.clone(), file, pin: None, failed: false };
        Self(files.into_iter().map(entry).collect())
    }

    /// The PIN for the token that asks, from the first file that serves it; none where no file does.
    pub(super) fn answer(&mut self, request: &PinRequest) -> Result<Option<&Pin>, Refusal> {
        let named = self.0.iter().position(|entry| entry.serves.as_ref() == Some(&request.token));
        // A password is no PIN: only a file that was named for its token is meant for it.
        let unnamed = |entry: &Entry| entry.serves.is_none() && !request.is_oath_password();
        let free = || self.0.iter().position(unnamed);
        let Some(entry) = named.or_else(free).and_then(|at| self.0.get_mut(at)) else { return Ok(None) };
        entry.answer(request).map(Some)
    }
}

impl Entry {
    fn answer(&mut self, request: &PinRequest) -> Result<&Pin, Refusal> {
        let asked_before = self.pin.is_some();
        if self.failed || (asked_before && request.failed) {
            // What failed once fails again, and each time costs a try.
            self.failed = true;
            let (path, label) = (self.file.path.clone(), request.label.clone());
            return Err(if request.is_oath_password() {
                Refusal::PasswordWrong { path, label }
            } else {
                Refusal::PinWrong { path, label, retries: request.retries }
            });
        }
        if request.retries <= 1 {
            return Err(Refusal::LastTry { label: request.label.clone() });
        }
        self.serves.get_or_insert_with(|| request.token.clone());
        let pin = match self.pin.take() {
            Some(pin) => pin,
            None => read(&self.file.path)?,
        };
        Ok(self.pin.insert(pin))
    }
}

fn read(path: &Path) -> Result<Pin, Refusal> {
    let bytes = read_private(path, LONGEST + 2)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() {
        return Err(Refusal::PinFileEmpty { path: path.to_owned() });
    }
    if text.len() > LONGEST || text.contains(&b'\n') {
        let why = "it holds more than one PIN".to_owned();
        return Err(Refusal::PinFileUnreadable { path: path.to_owned(), why });
    }
    Ok(Pin::copy_from(text))
}

/// The first `most` bytes of a file that nobody else can read.
pub(super) fn read_private(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let unreadable = |errno: rustix::io::Errno| Refusal::PinFileUnreadable {
        path: path.to_owned(),
        why: std::io::Error::from(errno).to_string(),
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(unreadable)?;
    // Asked of the open file, so that nobody can swap it in between.
    let status = rustix::fs::fstat(&file).map_err(unreadable)?;
    let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    if is_file && Mode::from_raw_mode(status.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        return Err(Refusal::PinFileOpen { path: path.to_owned() });
    }
    let mut bytes = Zeroizing::new(vec![0; most]);
    let mut length = 0_usize;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest).map_err(unreadable)? {
            0 => break,
            count => length = length.saturating_add(count),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn spec(text: &str) -> (Option<String>, PathBuf) {
        let file = PinFile::parse(OsStr::new(text)).unwrap();
        (file.token, file.path)
    }

    fn request(token: &str, retries: u32, failed: bool) -> PinRequest {
        PinRequest {
            prompt: 1,
            token: token.to_owned(),
            secret: None,
            label: format!("key {token}"),
            text: "unlock".to_owned(),
            retries,
            failed,
            deadline: 0,
        }
    }

    /// A pipe with `text` in it, as `/dev/fd/N`.
    fn piped(text: &[u8]) -> (rustix::fd::OwnedFd, PinFiles) {
        let pipe = crate::cli::handover::inlet(text).unwrap();
        let file = PinFile { token: None, path: format!("/dev/fd/{}", pipe.as_raw_fd()).into() };
        (pipe, PinFiles::new(vec![file]))
    }

    fn is(pin: Option<&Pin>, expected: &[u8]) -> bool {
        pin.is_some_and(|pin| pin.with(|bytes| bytes == expected))
    }

    #[test]
    fn a_token_goes_before_the_equals_sign_and_a_slash_ends_it() {
        assert_eq!(spec("/run/pin"), (None, "/run/pin".into()));
        assert_eq!(spec("abc=/run/pin"), (Some("abc".to_owned()), "/run/pin".into()));
        assert_eq!(spec("abc=/run/a=b"), (Some("abc".to_owned()), "/run/a=b".into()));
        assert_eq!(spec("./a=b"), (None, "./a=b".into()));
        assert_eq!(spec("=x"), (None, "=x".into()));
        assert!(PinFile::parse(OsStr::new("abc=")).is_err());
        assert!(PinFile::parse(OsStr::new("")).is_err());
    }

    #[test]
    fn a_pipe_serves_the_same_token_again_without_its_newline() {
        let (_pipe, mut files) = piped(b"12 34\n");
        assert!(is(files.answer(&request("a", 8, false)).unwrap(), b"12 34"));
        assert!(is(files.answer(&request("a", 8, false)).unwrap(), b"12 34"));
    }

    #[test]
    fn an_unnamed_file_is_never_tried_on_a_second_token() {
        let (_pipe, mut files) = piped(b"1234");
        assert!(files.answer(&request("a", 8, false)).unwrap().is_some());
        assert!(files.answer(&request("b", 8, false)).unwrap().is_none());
    }

    #[test]
    fn an_unnamed_file_is_never_taken_for_a_password() {
        let password =
            |retries| PinRequest { secret: Some("oath-password".to_owned()), ..request("a", retries, false) };
        let (_pipe, mut files) = piped(b"1234");
        assert!(files.answer(&password(u32::MAX)).unwrap().is_none());
        assert!(files.answer(&request("b", 8, false)).unwrap().is_some(), "it still serves a PIN");
        let (pipe, _) = piped(b"hush");
        let path = format!("/dev/fd/{}", pipe.as_raw_fd()).into();
        let mut named = PinFiles::new(vec![PinFile { token: Some("a".to_owned()), path }]);
        assert!(is(named.answer(&password(u32::MAX)).unwrap(), b"hush"));
        let again = PinRequest { failed: true, ..password(u32::MAX) };
        assert!(matches!(named.answer(&again), Err(Refusal::PasswordWrong { .. })));
    }

    #[test]
    fn a_named_file_serves_its_token_alone() {
        let file = PinFile { token: Some("a".to_owned()), path: "/nonexistent".into() };
        let mut files = PinFiles::new(vec![file]);
        assert!(files.answer(&request("b", 8, false)).unwrap().is_none());
        assert!(matches!(files.answer(&request("a", 8, false)), Err(Refusal::PinFileUnreadable { .. })));
    }

    #[test]
    fn a_pin_that_failed_is_not_given_again() {
        let (_pipe, mut files) = piped(b"1234");
        files.answer(&request("a", 8, false)).unwrap();
        let refusal = files.answer(&request("a", 7, true)).err().unwrap();
        assert!(matches!(refusal, Refusal::PinWrong { retries: 7, .. }), "{refusal}");
        assert!(files.answer(&request("a", 7, false)).is_err());
    }

    #[test]
    fn the_last_try_is_not_for_a_file() {
        let (_pipe, mut files) = piped(b"1234");
        assert_eq!(
            files.answer(&request("a", 1, false)).err(),
            Some(Refusal::LastTry { label: "key a".to_owned() })
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("rootseal-pin-{}", std::process::id()));
        std::fs::write(&path, "1234\n").unwrap();
        let files = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let file = PinFile { token: None, path: path.clone() };
            PinFiles::new(vec![file]).answer(&request("a", 8, false)).map(|_pin| ())
        };
        assert_eq!(files(0o640), Err(Refusal::PinFileOpen { path: path.clone() }));
        assert_eq!(files(0o604), Err(Refusal::PinFileOpen { path: path.clone() }));
        assert_eq!(files(0o600), Ok(()));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_empty_or_overlong_file_holds_no_pin() {
        let (_pipe, mut files) = piped(b"\n");
        assert!(matches!(files.answer(&request("a", 8, false)), Err(Refusal::PinFileEmpty { .. })));
        for text in [[b'1'; 300].as_slice(), b"1234\n5678\n"] {
            let (_pipe, mut files) = piped(text);
            let refusal = files.answer(&request("a", 8, false)).err().unwrap();
            assert!(matches!(refusal, Refusal::PinFileUnreadable { .. }), "{refusal}");
        }
    }
}
