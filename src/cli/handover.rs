//! Secrets cross D-Bus as descriptors: a pipe where the bytes fit, so that they are gone once read; else a sealed memfd.

use crate::cli::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use zeroize::Zeroizing;

/// How long the daemon may take to close what it writes to.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// What a result usually takes: a vector that grows is copied, and one that is too large is wiped in vain.
const ROOM: usize = 4 * 1024;

/// A descriptor to read `bytes` from, written and closed on our side.
pub(super) fn inlet(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let (read, write) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(Error::system("a pipe"))?;
    match rustix::io::write(&write, bytes) {
        Ok(written) if written == bytes.len() => {
            // Only our end had to be non-blocking; the mode belongs to each end of its own.
            rustix::io::ioctl_fionbio(&read, false).map_err(Error::system("a pipe"))?;
            Ok(read)
        }
        Ok(_) | Err(Errno::AGAIN) => memory(bytes),
        Err(errno) => Err(Error::system("a pipe")(errno)),
    }
}

fn memory(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("rootseal", flags).map_err(Error::system("a memory file"))?;
    let mut written = 0_usize;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let count = rustix::io::write(&memory, rest).map_err(Error::system("a memory file"))?;
        written = written.saturating_add(count);
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals).map_err(Error::system("a memory file"))?;
    rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(0)).map_err(Error::system("a memory file"))?;
    Ok(memory)
}

/// A pipe that the daemon writes a result into.
pub(super) struct Outlet {
    read: OwnedFd,
    write: OwnedFd,
}

impl Outlet {
    pub(super) fn new() -> Result<Self, Error> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (read, write) = rustix::pipe::pipe_with(flags).map_err(Error::system("a pipe"))?;
        Ok(Self { read, write })
    }

    /// What the daemon is handed.
    pub(super) fn write_end(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    /// What is left when the daemon alone may write: to be read while it works.
    pub(super) fn into_read_end(self) -> OwnedFd {
        self.read
    }

    /// What the daemon wrote before it replied, `limit` bytes at most. Nothing comes afterwards, so the end is not
    /// waited for: the daemon closes its own only after the reply.
    pub(super) fn read(self, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
        drop(self.write);
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        while take(self.read.as_fd(), &mut bytes, limit)?.is_some_and(|count| count > 0) {}
        if bytes.is_empty() {
            return Err(Error::Protocol("a result did not come".to_owned()));
        }
        Ok(bytes)
    }
}

/// Everything that comes from `source`, `limit` bytes at most.
pub(super) fn read_all(source: impl AsFd, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let source = source.as_fd();
    // A memory file comes with its offset where the writer left it; a pipe has none.
    let _pipe = rustix::fs::seek(source, rustix::fs::SeekFrom::Start(0));
    let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(source, PollFlags::IN)];
        match poll(&mut waiting, Some(&PATIENCE)) {
            Ok(0) => return Err(Error::Protocol("a result did not come".to_owned())),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Error::system("to wait for a result")(errno)),
        }
        if take(source, &mut bytes, limit)? == Some(0) {
            return Ok(bytes);
        }
    }
}

/// Reads once; `None`: nothing is there yet.
fn take(source: BorrowedFd<'_>, bytes: &mut Vec<u8>, limit: usize) -> Result<Option<usize>, Error> {
    let mut piece = Zeroizing::new([0_u8; 4096]);
    let count = match rustix::io::retry_on_intr(|| rustix::io::read(source, piece.as_mut_slice())) {
        Ok(count) => count,
        Err(Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(Error::system("to read a result")(errno)),
    };
    if bytes.len().saturating_add(count) > limit {
        return Err(Error::Protocol("a result is too long".to_owned()));
    }
    bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(Some(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_secrets_arrive_whole() {
        for length in [0, 1, 4096, 70_000, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let received = read_all(inlet(&bytes).unwrap(), 8 << 20).unwrap();
            assert_eq!(*received, bytes, "{length}");
        }
    }

    #[test]
    fn a_result_over_the_limit_is_refused() {
        assert!(read_all(inlet(&[7; 100]).unwrap(), 99).is_err());
        assert!(read_all(inlet(&[7; 100]).unwrap(), 100).is_ok());
    }

    #[test]
    fn a_result_is_there_although_the_daemon_has_not_closed_its_end_yet() {
        let outlet = Outlet::new().unwrap();
        let writer = outlet.write_end().try_clone_to_owned().unwrap();
        rustix::io::write(&writer, &[7; 5000]).unwrap();
        assert_eq!(outlet.read(5000).unwrap().as_slice(), [7; 5000]);
        drop(writer);
        assert!(Outlet::new().unwrap().read(16).is_err());
    }

    #[test]
    fn a_result_is_read_to_its_end() {
        let outlet = Outlet::new().unwrap();
        let writer = outlet.write_end().try_clone_to_owned().unwrap();
        rustix::io::write(&writer, b"result").unwrap();
        drop(writer);
        assert_eq!(outlet.read(16).unwrap().as_slice(), b"result");
    }
}
