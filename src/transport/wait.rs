//! Waiting for a device, a cancel and a deadline at once.

use crate::channel::{ChannelError, Patience};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::time::Instant;

/// Returns when `device` has something to read. What is there already is delivered even after the deadline.
pub(super) fn readable(device: impl AsFd, patience: &Patience) -> Result<(), ChannelError> {
    loop {
        let left = patience.deadline.saturating_duration_since(Instant::now());
        // A time too long for the kernel is one that never ends.
        let left = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(&device, PollFlags::IN), PollFd::new(&patience.cancel, PollFlags::IN)];
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => return Err(ChannelError::TimedOut),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let [device, cancel] = fds.map(|fd| fd.revents());
        if !cancel.is_empty() {
            return Err(ChannelError::Cancelled);
        }
        if device.contains(PollFlags::IN) {
            return Ok(());
        }
        if !device.is_empty() {
            return Err(ChannelError::Gone);
        }
    }
}

/// What a failed system call on a device means.
pub(super) fn failed(errno: Errno) -> ChannelError {
    match errno {
        Errno::NODEV
        | Errno::NXIO
        | Errno::IO
        | Errno::PIPE
        | Errno::CONNRESET
        | Errno::NOTCONN
        | Errno::SHUTDOWN => ChannelError::Gone,
        Errno::AGAIN => ChannelError::TimedOut,
        other => ChannelError::Io(other.kind()),
    }
}
