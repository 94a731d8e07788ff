//! The recovery code: on paper when it is made, and from a file when it is used.

use crate::cli::error::Error;
use crate::cli::handover::Outlet;
use crate::cli::output;
use crate::cli::pin;
use crate::cli::refusal::Refusal;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

/// Four lines `XXXX-XXXX-XXXX-XXXX`, each with its end.
const CODE: usize = 80;
/// A sheet has some 3 KiB.
const LONGEST: usize = 64 * 1024;

/// Where a new code goes. Made before it is asked for: a code that nobody can write down must open nothing.
pub(super) struct Paper {
    /// None: standard output.
    file: Option<Sheet>,
    outlet: Outlet,
}

/// A file for a code, which goes again unless the code is one.
struct Sheet {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Drop for Sheet {
    fn drop(&mut self) {
        if !self.kept {
            let _nothing_more_to_do = std::fs::remove_file(&self.path);
        }
    }
}

impl Paper {
    /// A new file that only its owner can read; `-` is standard output.
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let outlet = Outlet::new()?;
        if path.as_os_str() == "-" {
            return Ok(Self { file: None, outlet });
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| Error::Write { path: path.to_owned(), source })?;
        Ok(Self { file: Some(Sheet { path: path.to_owned(), file, kept: false }), outlet })
    }

    /// What the daemon writes the code into.
    pub(super) fn inlet(&self) -> Result<zbus::OwnedFd, Error> {
        let end = self.outlet.write_end().try_clone_to_owned();
        end.map(Into::into).map_err(|source| Error::System { doing: "a pipe", source })
    }

    /// Writes the code down while the request goes on, and takes it away if that fails for sure.
    pub(super) async fn during<T>(
        self,
        title: &str,
        request: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, Error> {
        let Self { mut file, outlet } = self;
        let written = async {
            match code(outlet).await? {
                Some(code) => write(file.as_ref(), &code, title).map(|()| true),
                None => Ok(false),
            }
        };
        let request = async { request.await.map_err(Error::from) };
        let done = match tokio::try_join!(request, written) {
            Ok((_, false)) => Err(Error::Protocol("the recovery code did not come".to_owned())),
            done => done.map(|(reply, _)| reply),
        };
        if let Some(sheet) = &mut file {
            let unsure = done.as_ref().is_err_and(Error::leaves_unsure);
            sheet.kept = done.is_ok() || unsure;
            if unsure {
                let path = sheet.path.display();
                output::note(&format!(
                    "the code in {path} may open the vault: see `rootseal keyslot list`, and delete it if not"
                ));
            }
        }
        done
    }
}

fn write(to: Option<&Sheet>, code: &[u8], title: &str) -> Result<(), Error> {
    let text = sheet(code, title)?;
    let Some(Sheet { path, file, .. }) = to else { return output::secret(text.as_bytes()) };
    let mut file: &File = file;
    let failed = |source| Error::Write { path: path.clone(), source };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    // The name has to last, too.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// Waits for the code. The daemon keeps its end open until it replies: the length tells that all is there. `None`: it
/// closed it, and its reply says why.
async fn code(outlet: Outlet) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let broken = |source: std::io::Error| Error::System { doing: "to read the recovery code", source };
    let mut pipe = Receiver::from_owned_fd(outlet.into_read_end()).map_err(broken)?;
    let mut code = Zeroizing::new(vec![0; CODE]);
    match pipe.read_exact(&mut code).await {
        Ok(_all) => Ok(Some(code)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

fn sheet(code: &[u8], title: &str) -> Result<Zeroizing<String>, Error> {
    let nonsense = || Error::Protocol("the recovery code".to_owned());
    let code = std::str::from_utf8(code).map_err(|_not_text| nonsense())?;
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    let mut say = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    say("ROOTSEAL RECOVERY CODE");
    say(&output::plain(title));
    say("");
    for (number, line) in (1..).zip(code.lines()) {
        say(&format!("    {number}:  {line}"));
    }
    say("");
    let joined = Zeroizing::new(code.trim_end().replace('\n', "-"));
    let picture = QrCode::with_error_correction_level(joined.as_bytes(), EcLevel::Q);
    say(&picture.map_err(|_too_long| nonsense())?.render::<Dense1x2>().build());
    say(
        "Whoever has this code needs no token. Print it, keep the paper in a safe place, and delete the file.",
    );
    say("To use it:  rootseal unlock --token recovery             (and type the four lines)");
    say("       or:  rootseal unlock --recovery-code-file FILE    (this text, or what the picture says)");
    say("The code has no letter I, L, O or U: those are digits.");
    Ok(text)
}

/// The code in a file that nobody else can read: a sheet, or the code alone.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let text = pin::read_private(path, LONGEST)?;
    let line = |line: &'_ [u8]| -> Option<Zeroizing<Vec<u8>>> {
        let [b'1'..=b'4', b':', code @ ..] = line.trim_ascii() else { return None };
        Some(Zeroizing::new(code.to_vec()))
    };
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(line).collect();
    if lines.is_empty() {
        return Ok(text);
    }
    let mut code = Zeroizing::new(Vec::with_capacity(text.len()));
    for line in &lines {
        code.extend_from_slice(line);
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const TEXT: &str = "000G-40R4-0M30-F8EC\n104G-M2RC-1M70-YAWT\n208H-44RM-2MB1-E1V3\n30CH-M6RW-3MF1-YEWG\n";

    fn compact(text: &[u8]) -> String {
        text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(*byte)).collect()
    }

    #[test]
    fn a_sheet_is_read_as_the_code_alone_is() {
        let path = std::env::temp_dir().join(format!("rootseal-sheet-{}", std::process::id()));
        for text in [TEXT.to_owned(), sheet(TEXT.as_bytes(), "“paper” of owner").unwrap().to_string()] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert_eq!(compact(&read(&path).unwrap()), compact(TEXT.as_bytes()));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(Refusal::PinFileOpen { .. })));
        std::fs::remove_file(&path).unwrap();
    }

    /// Ink is what is drawn: on paper it is black.
    #[test]
    fn the_picture_says_the_code() {
        let sheet = sheet(TEXT.as_bytes(), "").unwrap();
        let rows = sheet.lines().filter(|line| line.contains(['\u{2580}', '\u{2584}', '\u{2588}']));
        let pixels: Vec<Vec<bool>> = rows
            .flat_map(|row| {
                let upper = |half| matches!(half, '\u{2580}' | '\u{2588}');
                let lower = |half| matches!(half, '\u{2584}' | '\u{2588}');
                [row.chars().map(upper).collect(), row.chars().map(lower).collect::<Vec<_>>()]
            })
            .collect();
        let ink = |x: usize, y: usize| pixels.get(y).and_then(|row| row.get(x)).copied().unwrap_or(false);
        let (scale, margin) = (4, 16);
        let width = pixels.iter().map(Vec::len).max().unwrap() * scale + 2 * margin;
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, width, |x, y| {
            let module = |at: usize| at.checked_sub(margin).map_or(usize::MAX, |at| at / scale);
            if ink(module(x), module(y)) { 0 } else { 255 }
        });
        let grids = picture.detect_grids();
        let (_, said) = grids.first().expect("a picture").decode().unwrap();
        assert_eq!(compact(said.as_bytes()), compact(TEXT.as_bytes()));
    }
}
