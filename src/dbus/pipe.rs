//! The only way secrets cross: descriptors that the client hands in.

use super::error::Error;
use crate::secret::{OtpCode, SessionCredentials};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, MemfdFlags, fstat, memfd_create};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The most that a client may hand in, in bytes.
const MOST: usize = 8 * 1024 * 1024;
/// How long a client may take to hand it in.
const LIMIT: Duration = Duration::from_secs(10);

/// Reads everything up to the end. On a thread of its own: a client that never closes its end holds nobody up.
pub(super) async fn read(from: OwnedFd) -> Result<Zeroizing<Vec<u8>>, Error> {
    kind(&from)?;
    let read = tokio::task::spawn_blocking(move || read_all(&from)).await;
    read.map_err(|_panicked| Error::failed("reading was interrupted"))?
}

/// Reads a PIN. On a thread of its own, that no flood of other requests can keep from it: prompts come one by one.
pub(super) async fn read_pin(from: OwnedFd) -> Result<Zeroizing<Vec<u8>>, Error> {
    kind(&from)?;
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("pin".into())
        .spawn(move || {
            let _asker_gone = answer.send(read_all(&from));
        })
        .map_err(|_no_thread| Error::failed("the system allows no further thread"))?;
    answered.await.map_err(|_panicked| Error::failed("reading was interrupted"))?
}

fn read_all(from: &OwnedFd) -> Result<Zeroizing<Vec<u8>>, Error> {
    let now = Instant::now();
    let deadline = now.checked_add(LIMIT).unwrap_or(now);
    // All at once: a vector that grows leaves copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut chunk = Zeroizing::new([0_u8; 16 * 1024]);
    loop {
        wait(from, PollFlags::IN, deadline)?;
        let length = match rustix::io::read(from, &mut chunk[..]) {
            Ok(length) => length,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            Err(_) => return Err(Error::invalid("the descriptor cannot be read")),
        };
        if length == 0 {
            return Ok(bytes);
        }
        let total = bytes.len().saturating_add(length);
        if total > MOST {
            return Err(Error::invalid("more was handed in than 8 MiB"));
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
    pub(super) fn code(&self, code: &OtpCode) -> Result<(), Error> {
        code.with(|bytes| write_all(&self.to, bytes, Duration::ZERO))
    }

    /// Writes what fits into a pipe; `None`: this does not.
    fn at_once(&self, bytes: &[u8]) -> Option<Result<(), Error>> {
        // A pipe that is ready takes PIPE_BUF bytes without blocking (pipe(7)).
        let fits = self.kind != FileType::Fifo || bytes.len() <= rustix::pipe::PIPE_BUF;
        fits.then(|| write_all(&self.to, bytes, Duration::ZERO))
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
        match rustix::io::write(&to, part) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return Err(Error::invalid("the descriptor cannot be written")),
        }
    }
    Ok(())
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
            Ok(0) => return Err(Error::invalid("the descriptor was not ready in time")),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
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
