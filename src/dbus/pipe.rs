//! The only way secrets cross: descriptors that the client hands in.

use super::error::Error;
use crate::secret::{OtpCode, SessionCredentials};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, MemfdFlags, fstat, memfd_create};
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{self, BufWriter, IoSlice, Write};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The most that a client may hand in, in bytes.
const MOST: usize = 8 * 1024 * 1024;
/// How long a client may take to hand it in.
const LIMIT: Duration = Duration::from_secs(10);
const UNWRITABLE: &str = "the descriptor cannot be written";

/// Reads everything up to the end. On a thread of its own: a client that never closes its end holds nobody up.
pub(super) async fn read(from: OwnedFd) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_most(from, MOST).await
}

/// As [`read`], up to so many bytes.
pub(super) async fn read_most(from: OwnedFd, most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    kind(&from)?;
    let read = tokio::task::spawn_blocking(move || read_all(&from, most)).await;
    read.map_err(|_panicked| Error::failed("reading was interrupted"))?
}

/// Reads a PIN. On a thread of its own, that no flood of other requests can keep from it: prompts come one by one.
pub(super) async fn read_pin(from: OwnedFd) -> Result<Zeroizing<Vec<u8>>, Error> {
    kind(&from)?;
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("pin".into())
        .spawn(move || {
            let _asker_gone = answer.send(read_all(&from, MOST));
        })
        .map_err(|_no_thread| Error::failed("the system allows no further thread"))?;
    answered.await.map_err(|_panicked| Error::failed("reading was interrupted"))?
}

fn read_all(from: &OwnedFd, most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let now = Instant::now();
    let deadline = now.checked_add(LIMIT).unwrap_or(now);
    // All at once: a vector that grows leaves copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut chunk = Zeroizing::new([0_u8; 16 * 1024]);
    loop {
        wait(from, PollFlags::IN, deadline)?;
        let length = match rustix::io::read(from, &mut chunk[..]) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return Err(Error::invalid("the descriptor cannot be read")),
        };
        if length == 0 {
            return Ok(bytes);
        }
        let total = bytes.len().saturating_add(length);
        if total > most {
            return Err(Error::invalid(format!("more was handed in than {} MiB", most >> 20)));
        }
        if total > bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(total.saturating_mul(2)));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
    }
}

/// Where a secret may go: looked at before anything is spent on it.
pub(super) struct Out<'m> {
    to: zbus::Fd<'m>,
    kind: FileType,
}

impl<'m> Out<'m> {
    pub(super) fn new(to: zbus::Fd<'m>) -> Result<Self, Error> {
        Ok(Self { kind: kind(&to)?, to })
    }

    /// Writes a session's JSON.
    pub(super) async fn session(self, secret: &SessionCredentials) -> Result<(), Error> {
        match secret.with(|bytes| self.at_once(bytes)) {
            Some(written) => written,
            // The future cannot borrow from within `with`; the copy is wiped.
            None => self.write(secret.with(|bytes| Zeroizing::new(bytes.to_vec()))).await,
        }
    }

    /// Writes a one-time code.
    pub(super) async fn code(self, code: &OtpCode) -> Result<(), Error> {
        match code.with(|bytes| self.at_once(bytes)) {
            Some(written) => written,
            None => self.write(code.with(|bytes| Zeroizing::new(bytes.to_vec()))).await,
        }
    }

    /// Writes a recovery code.
    pub(super) async fn recovery_code(self, text: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        match self.at_once(&text) {
            Some(written) => written,
            None => self.write(text).await,
        }
    }

    /// Writes what cannot block this thread; `None`: this could.
    fn at_once(&self, bytes: &[u8]) -> Option<Result<(), Error>> {
        if self.kind != FileType::Fifo {
            return Some(write_all(&self.to, bytes, Duration::ZERO));
        }
        // A pipe takes PIPE_BUF bytes whole or not at all (pipe(7)).
        if bytes.len() > rustix::pipe::PIPE_BUF {
            return None;
        }
        match write_now(&self.to, bytes) {
            Ok(_whole) => Some(Ok(())),
            Err(Errno::OPNOTSUPP | Errno::INTR) => None,
            Err(Errno::AGAIN) => Some(Err(not_ready())),
            Err(_) => Some(Err(Error::invalid(UNWRITABLE))),
        }
    }

    /// Writes on a thread of its own.
    async fn write(self, bytes: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        let to = self.to.as_fd().try_clone_to_owned();
        let to = to.map_err(|_none_left| Error::failed("no descriptor is left"))?;
        let written = tokio::task::spawn_blocking(move || write_all(&to, &bytes, LIMIT)).await;
        written.map_err(|_panicked| Error::failed("writing was interrupted"))?
    }
}

fn write_all(to: impl AsFd, mut bytes: &[u8], limit: Duration) -> Result<(), Error> {
    let now = Instant::now();
    let deadline = now.checked_add(limit).unwrap_or(now);
    while !bytes.is_empty() {
        wait(&to, PollFlags::OUT, deadline)?;
        let part = bytes.get(..rustix::pipe::PIPE_BUF).unwrap_or(bytes);
        let written = match write_now(&to, part) {
            Err(Errno::OPNOTSUPP) => rustix::io::write(&to, part),
            tried => tried,
        };
        match written {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return Err(Error::invalid(UNWRITABLE)),
        }
    }
    Ok(())
}

/// Writes without waiting, although the client may have filled its pipe since that was ready. Before Linux 6.4 pipes
/// know no such promise ([`Errno::OPNOTSUPP`]).
fn write_now(to: impl AsFd, part: &[u8]) -> rustix::io::Result<usize> {
    /// Where the file stands: -1 in `pwritev2(2)`.
    const HERE: u64 = u64::MAX;
    rustix::io::pwritev2(to, &[IoSlice::new(part)], HERE, ReadWriteFlags::NOWAIT)
}

fn not_ready() -> Error {
    Error::invalid("the descriptor was not ready in time")
}

/// Only pipes and memory files: of anything else a read or a write could block for ever, or end on a disk.
fn kind(fd: impl AsFd) -> Result<FileType, Error> {
    match fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Fifo) => Ok(FileType::Fifo),
        // Files in memory alone know of seals (fcntl(2), F_GET_SEALS).
        Ok(FileType::RegularFile) if rustix::fs::fcntl_get_seals(fd).is_ok() => Ok(FileType::RegularFile),
        _ => Err(Error::invalid("the descriptor must be a pipe or a memfd")),
    }
}

fn wait(fd: impl AsFd, flags: PollFlags, deadline: Instant) -> Result<(), Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
        match poll(&mut [PollFd::from_borrowed_fd(fd.as_fd(), flags)], Some(&left)) {
            Ok(0) => return Err(not_ready()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(_) => return Err(Error::failed("the descriptor cannot be waited for")),
        }
    }
}

/// A descriptor that holds `bytes`, to be read from its beginning.
pub(super) fn holding(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let failed = |_errno| Error::failed("no memory for the reply");
    let memory = memfd_create("rootseal", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(failed)?;
    write_all(&memory, bytes, Duration::ZERO)?;
    rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(0)).map_err(failed)?;
    rustix::fs::fcntl_add_seals(
        &memory,
        rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::GROW | rustix::fs::SealFlags::SHRINK,
    )
    .map_err(failed)?;
    Ok(memory)
}

/// The read end of a pipe that `work` writes into, on a thread of its own. A reader that stops reading ends it.
pub(super) fn streaming(work: impl FnOnce(&mut dyn Write) + Send + 'static) -> Result<OwnedFd, Error> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (reader, writer) = pipe.map_err(|_none_left| Error::failed("no descriptor is left"))?;
    // The writer's end alone: the reader's is the client's.
    rustix::io::ioctl_fionbio(&writer, true).map_err(|_errno| Error::failed("no pipe can be made"))?;
    let _runs_to_its_end = tokio::task::spawn_blocking(move || {
        work(&mut BufWriter::with_capacity(64 * 1024, Patient(writer)));
    });
    Ok(reader)
}

/// Waits for whoever reads, but not for ever.
struct Patient(OwnedFd);

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = Instant::now();
        let deadline = now.checked_add(LIMIT).unwrap_or(now);
        loop {
            wait(&self.0, PollFlags::OUT, deadline).map_err(|_why| io::ErrorKind::TimedOut)?;
            match rustix::io::write(&self.0, bytes) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::OFlags;

    fn full_pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        while rustix::io::write(&writer, &[0; rustix::pipe::PIPE_BUF]).is_ok() {}
        rustix::fs::fcntl_setfl(&writer, OFlags::empty()).unwrap();
        (reader, writer)
    }

    #[test]
    fn a_full_pipe_of_a_client_that_blocks_holds_nobody_up() {
        let (_reader, writer) = full_pipe();
        match write_now(&writer, b"code") {
            // Then it is written on a thread of its own.
            Err(Errno::OPNOTSUPP) => {}
            written => assert_eq!(written, Err(Errno::AGAIN)),
        }
        let out = Out::new(writer.as_fd().into()).unwrap();
        assert!(!matches!(out.at_once(b"code"), Some(Ok(()))));
    }

    #[test]
    fn more_than_a_pipe_takes_at_once_waits_elsewhere() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let out = Out::new(writer.as_fd().into()).unwrap();
        assert!(out.at_once(&[0; rustix::pipe::PIPE_BUF + 1]).is_none());
        drop(reader);
        assert!(!matches!(out.at_once(b"code"), Some(Ok(()))));
    }

    #[test]
    fn memory_is_written_at_its_place() {
        let memory = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        let out = Out::new(memory.as_fd().into()).unwrap();
        assert!(matches!(out.at_once(b"one "), Some(Ok(()))));
        assert!(matches!(out.at_once(b"two"), Some(Ok(()))));
        rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(0)).unwrap();
        assert_eq!(*read_all(&memory, MOST).unwrap(), b"one two");
    }
}
