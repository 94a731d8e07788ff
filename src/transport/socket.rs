//! A virtual token behind a Unix socket: one report for each datagram (`SOCK_SEQPACKET`).

use super::REPORT;
use super::wait::{failed, readable};
use crate::channel::{Channel, ChannelError, Patience};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// How long connecting and sending wait for a peer that does not take what it is sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// The connection to one virtual token.
#[derive(Debug)]
pub struct SocketChannel(OwnedFd);

impl SocketChannel {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// [`ChannelError::Gone`] if nobody listens there.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ChannelError> {
        let address = SocketAddrUnix::new(path.as_ref()).map_err(failed)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
        set_socket_timeout(&socket, Timeout::Send, Some(SEND_TIMEOUT)).map_err(failed)?;
        connect(&socket, &address).map_err(|errno| match errno {
            Errno::NOENT | Errno::CONNREFUSED => ChannelError::Gone,
            other => failed(other),
        })?;
        Ok(Self(socket))
    }
}

impl Channel for SocketChannel {
    fn send(&mut self, frame: &[u8]) -> Result<(), ChannelError> {
        send(&self.0, frame, SendFlags::NOSIGNAL).map_err(failed)?;
        Ok(())
    }

    fn receive(&mut self, patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        readable(&self.0, patience)?;
        let mut report = vec![0; REPORT];
        // TRUNC: the length of the datagram, not of what fits.
        let (_, length) =
            recv(&self.0, report.as_mut_slice(), RecvFlags::DONTWAIT | RecvFlags::TRUNC).map_err(failed)?;
        match length {
            REPORT => Ok(report),
            0 => Err(ChannelError::Gone),
            _ => Err(ChannelError::Io(ErrorKind::InvalidData)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Cancel;
    use rustix::net::socketpair;
    use std::time::Instant;

    fn pair() -> (SocketChannel, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (SocketChannel(ours), theirs)
    }

    fn patience() -> Patience {
        let deadline = Instant::now().checked_add(Duration::from_hours(1)).unwrap();
        Patience { deadline, cancel: Cancel::new().unwrap() }
    }

    #[test]
    fn reports_go_both_ways_whole() {
        let (mut channel, peer) = pair();
        channel.send(&[7; REPORT]).unwrap();
        let mut got = [0; 100];
        assert_eq!(recv(&peer, &mut got[..], RecvFlags::empty()).unwrap().1, REPORT);
        for byte in [1, 2] {
            send(&peer, &[byte; REPORT], SendFlags::empty()).unwrap();
        }
        assert_eq!(channel.receive(&patience()), Ok(vec![1; REPORT]));
        assert_eq!(channel.receive(&patience()), Ok(vec![2; REPORT]));
    }

    #[test]
    fn a_datagram_that_is_no_report_is_an_error_and_the_next_is_read() {
        let (mut channel, peer) = pair();
        for length in [1, 63, 65, 5000] {
            send(&peer, &vec![0; length], SendFlags::empty()).unwrap();
            assert_eq!(channel.receive(&patience()), Err(ChannelError::Io(ErrorKind::InvalidData)));
        }
        send(&peer, &[3; REPORT], SendFlags::empty()).unwrap();
        assert_eq!(channel.receive(&patience()), Ok(vec![3; REPORT]));
    }

    #[test]
    fn a_closed_peer_is_gone_after_its_last_report() {
        let (mut channel, peer) = pair();
        send(&peer, &[3; REPORT], SendFlags::empty()).unwrap();
        drop(peer);
        assert_eq!(channel.receive(&patience()), Ok(vec![3; REPORT]));
        assert_eq!(channel.receive(&patience()), Err(ChannelError::Gone));
        assert_eq!(channel.send(&[0; REPORT]), Err(ChannelError::Gone));
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let (mut channel, _peer) = pair();
        let over = Patience { deadline: Instant::now(), ..patience() };
        assert_eq!(channel.receive(&over), Err(ChannelError::TimedOut));
    }

    #[test]
    fn a_cancel_ends_the_wait_from_another_thread() {
        let (mut channel, _peer) = pair();
        let patience = patience();
        let cancel = patience.cancel.clone();
        let waiting = std::thread::spawn(move || channel.receive(&patience));
        cancel.cancel();
        assert_eq!(waiting.join().unwrap(), Err(ChannelError::Cancelled));
    }
}
