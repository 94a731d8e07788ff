//! Waiting for a device, a cancel and a deadline at once.

use crate::channel::{ChannelError, Patience};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::time::{Duration, Instant};

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

/// Returns after `time`, or with an error when `patience` ends before.
pub(super) fn sleep(time: Duration, patience: &Patience) -> Result<(), ChannelError> {
    let until = Instant::now().checked_add(time);
    loop {
        let now = Instant::now();
        if now >= patience.deadline {
            return Err(ChannelError::TimedOut);
        }
        let Some(left) =
            until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero())
        else {
            return Ok(());
        };
        let left = left.min(patience.deadline.saturating_duration_since(now));
        let mut fds = [PollFd::new(&patience.cancel, PollFlags::IN)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Err(ChannelError::Cancelled),
            Err(errno) => return Err(failed(errno)),
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
