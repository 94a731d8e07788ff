//! A virtual token behind a Unix socket: one report for each datagram (`SOCK_SEQPACKET`).

use super::REPORT;
use super::wait::{failed, readable};
use crate::channel::{Channel, ChannelError, Patience};
use rustix::fd::OwnedFd;
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
        connect(&socket, &address).map_err(|errno| match errno.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ChannelError::Gone,
            _ => failed(errno),
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
