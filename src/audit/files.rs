//! The files of one log: the one that grows, and those that were full, numbered from 1.

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr as retry};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The full file of that number.
pub(super) fn full(path: &Path, number: u64) -> PathBuf {
    beside(path, &number.to_string())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(ending);
    name.into()
}

/// The numbers of the full files, in their order.
pub(super) fn all_full(path: &Path) -> io::Result<Vec<u64>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?.file_name();
        let number = entry.to_str().and_then(|entry| entry.strip_prefix(name)?.strip_prefix('.'));
        let number = number.filter(|number| number.bytes().all(|digit| digit.is_ascii_digit()));
        if let Some(number) = number.filter(|number| !number.starts_with('0'))
            && let Ok(number) = number.parse()
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens the file that grows, making it where it is not there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::APPEND;
    Ok(retry(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR))?.into())
}

/// Opens a file to be read from its beginning. One that is no file, such as a FIFO, does not hold anybody up.
pub(super) fn read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(retry(|| rustix::fs::open(path, flags, Mode::empty()))?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Removes what a crash left behind in the middle of [`rotate`].
pub(super) fn tidy(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(beside(path, "new")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives the file that grows the number `number`, and puts an empty one into its place. What can fail for want of
/// room comes first: then nothing has changed.
pub(super) fn rotate(path: &Path, number: u64) -> io::Result<File> {
    tidy(path)?;
    let (new, full) = (beside(path, "new"), full(path, number));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::APPEND;
    let file = retry(|| rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR))?;
    let moved = rename_beside(path, &full).and_then(|()| {
        std::fs::rename(&new, path).inspect_err(|_why| {
            // Where this fails too, the log is not in its place, which the next record notices.
            let _back = rename_beside(&full, path);
        })
    });
    match moved {
        Ok(()) => Ok(file.into()),
        Err(error) => {
            let _removed_when_opened = std::fs::remove_file(&new);
            Err(error)
        }
    }
}

/// A rename that replaces nothing.
fn rename_beside(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, renameat_with};
    match retry(|| renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)) {
        // Not every file system knows this; nobody but the daemon has business in the directory.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => std::fs::rename(from, to),
        done => Ok(done?),
    }
}

/// Brings names to the disk.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
