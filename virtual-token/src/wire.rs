//! The wires that reports travel on: a connection of a `SOCK_SEQPACKET` socket, the kernel's uhid device, or the
//! inside of a USB device.

mod uhid;

use std::{
    io,
    os::fd::OwnedFd,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
    socketpair,
};
use tokio::io::unix::AsyncFd;

use crate::hid::Report;

/// Larger than any datagram and any uhid event.
const BUFFER: usize = 8192;
const BACKLOG: i32 = 16;

/// One wire with a client at its end.
#[derive(Debug)]
pub struct Wire {
    fd: AsyncFd<OwnedFd>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Socket,
    Uhid,
    /// Like a socket, but that a lone byte says [`Arrival::NobodyListens`].
    Inside,
}

/// What came over a wire.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A report.
    Report(Report),
    /// The last program that used the kernel's device has closed it; another may open it later.
    NobodyListens,
    /// The client has gone, and the wire with it.
    Gone,
}

impl Wire {
    /// Creates a HID device in the kernel; it goes when the value is dropped.
    ///
    /// # Errors
    /// When this system has no `/dev/uhid`, or keeps it from us.
    pub async fn uhid(label: &str, serial: u32) -> io::Result<Self> {
        let wire = Self { fd: register(uhid::open()?)?, kind: Kind::Uhid };
        wire.write(&uhid::create(label, serial)).await?;
        Ok(wire)
    }

    /// A wire within this process, and its other end.
    ///
    /// # Errors
    /// When the system fails.
    pub fn inside() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let end = |fd| Ok::<_, io::Error>(Self { fd: register(fd)?, kind: Kind::Inside });
        Ok((end(a)?, end(b)?))
    }

    /// What comes next. May be dropped and called again.
    ///
    /// # Errors
    /// When the client sends something that is not a report, or the system fails.
    pub async fn receive(&self) -> io::Result<Arrival> {
        let mut buffer = [0; BUFFER];
        loop {
            let mut ready = self.fd.readable().await?;
            let Ok(result) = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut buffer)?)) else {
                continue;
            };
            let bytes = match result {
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) => return Err(error),
            };
            match self.kind {
                Kind::Socket | Kind::Inside if bytes.is_empty() => return Ok(Arrival::Gone),
                Kind::Inside if bytes.len() == 1 => return Ok(Arrival::NobodyListens),
                Kind::Socket | Kind::Inside => {
                    return bytes.try_into().map(Arrival::Report).map_err(|_length| {
                        io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a client sent a datagram that is not 64 bytes long",
                        )
                    });
                }
                Kind::Uhid => {
                    if let Some(arrival) = uhid::arrival(bytes) {
                        return Ok(arrival);
                    }
                }
            }
        }
    }

    /// Sends one report.
    ///
    /// # Errors
    /// When the client has gone, or the system fails.
    pub async fn send(&self, report: &Report) -> io::Result<()> {
        match self.kind {
            Kind::Socket | Kind::Inside => self.write(report).await,
            Kind::Uhid => self.write(&uhid::input(report)).await,
        }
    }

    /// Says through a wire of [`Self::inside`] that nobody listens any more.
    ///
    /// # Errors
    /// When the other end has gone, or the system fails.
    pub async fn tell_nobody_listens(&self) -> io::Result<()> {
        self.write(&[0]).await
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            let mut ready = self.fd.writable().await?;
            if let Ok(result) = ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                // Datagrams and uhid events go whole or not at all.
                return result.map(|_| ());
            }
        }
    }
}

/// The socket that clients connect to. Its file goes when the value is dropped.
#[derive(Debug)]
pub struct Listener {
    fd: AsyncFd<OwnedFd>,
    path: PathBuf,
}

impl Listener {
    /// Listens on a path, where a file that nobody listens on may lie.
    ///
    /// # Errors
    /// When something else lies there, or somebody listens already.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        clear_stale(path, || Ok(connect(seqpacket()?, &address)?))?;
        let fd = seqpacket()?;
        bind(&fd, &address)?;
        listen(&fd, BACKLOG)?;
        Ok(Self { fd: register(fd)?, path: path.to_owned() })
    }

    /// The next client's connection. May be dropped and called again.
    ///
    /// # Errors
    /// When the system fails.
    pub async fn accept(&self) -> io::Result<Wire> {
        loop {
            let mut ready = self.fd.readable().await?;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            if let Ok(result) = ready.try_io(|fd| Ok(accept_with(fd.get_ref(), flags)?)) {
                return Ok(Wire { fd: register(result?)?, kind: Kind::Socket });
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio asks for a promise that OwnedFd keeps by its type")]
    // SAFETY: an OwnedFd owns one open descriptor, never changes it, and stays inside the AsyncFd.
    let registered = unsafe { AsyncFd::register(fd) };
    Ok(registered?)
}

fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Removes a socket that a dead process left at `path`.
///
/// # Errors
/// When something other than a socket lies there, or a process still listens on it.
pub fn clear_stale(path: &Path, connect: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "something other than a socket is there"))
        }
        Ok(_) if connect().is_ok() => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"))
        }
        Ok(_) => std::fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());

        let dead = seqpacket().unwrap();
        bind(&dead, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        drop(dead);
        assert!(path.exists());
        drop(Listener::bind(&path).unwrap());

        std::fs::write(&path, "precious").unwrap();
        assert_eq!(Listener::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
