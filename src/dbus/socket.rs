//! A client's socket. zbus's own asks the name services of the machine for the client's groups, on a thread, at
//! every connection; nobody here wants the groups, and the name services may reach as far as the network.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown,
};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UnixStream;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;
use zbus::fdo::ConnectionCredentials;

/// Descriptors in one message: no call of ours takes more than two.
const MOST: usize = 16;

/// The receiving half.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Arc<UnixStream>,
    uid: u32,
}

/// The sending half.
#[derive(Debug)]
pub(super) struct Writer(Arc<UnixStream>);

/// A socket whose other end is `uid`, as the kernel says.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) uid: u32,
}

impl Socket for Client {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let stream = Arc::new(self.stream);
        Split::new(Reader { stream: Arc::clone(&stream), uid: self.uid }, Writer(stream))
    }
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.stream.async_io(Interest::READABLE, || receive(&self.stream, buffer)).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }

    async fn peer_credentials(&mut self) -> io::Result<ConnectionCredentials> {
        Ok(ConnectionCredentials::default().set_unix_user_id(self.uid))
    }
}

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.async_io(Interest::WRITABLE, || send(&self.0, buffer, fds)).await
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, Shutdown::Both)?)
    }

    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(buffer)];
    let message = rustix::net::recvmsg(stream, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(ErrorKind::InvalidData, "too many descriptors"));
    }
    if message.bytes == 0 {
        return Err(ErrorKind::BrokenPipe.into());
    }
    Ok((message.bytes, descriptors))
}

fn send(stream: &UnixStream, buffer: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "too many descriptors"));
    }
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(buffer)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};
    use zbus::Guid;
    use zbus::connection::{Builder, Connection};

    struct Echo;

    #[zbus::interface(name = "org.rootseal.Echo")]
    impl Echo {
        #[expect(clippy::unused_self, reason = "zbus asks for it")]
        fn echo(&self, text: String, out: zbus::OwnedFd) -> (String, zbus::OwnedFd) {
            (text, out)
        }
    }

    async fn pair(uid: u32) -> (zbus::Result<Connection>, zbus::Result<Connection>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = Builder::socket(Client { stream: ours, uid }).server(Guid::generate()).p2p();
        let client = Builder::unix_stream(theirs.into_std().unwrap()).p2p();
        tokio::join!(server.serve_at("/echo", Echo).build(), client.build())
    }

    #[tokio::test]
    async fn messages_and_descriptors_cross_both_ways() {
        let (server, client) = pair(rustix::process::geteuid().as_raw()).await;
        let (_server, client) = (server.unwrap(), client.unwrap());
        let file = rustix::fs::memfd_create("echo", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = std::fs::File::from(file);
        file.write_all(b"inside").unwrap();
        // More than a socket buffer takes at once.
        let long = "x".repeat(1 << 20);
        let body = (long.as_str(), zbus::Fd::from(&file));
        let reply = client
            .call_method(None::<&str>, "/echo", Some("org.rootseal.Echo"), "Echo", &body)
            .await
            .unwrap();
        let (text, back): (String, zbus::OwnedFd) = reply.body().deserialize().unwrap();
        assert_eq!(text, long);
        let mut back = std::fs::File::from(OwnedFd::from(back));
        back.rewind().unwrap();
        let mut inside = String::new();
        back.read_to_string(&mut inside).unwrap();
        assert_eq!(inside, "inside");
    }

    #[tokio::test]
    async fn another_user_is_turned_away() {
        let (server, client) = pair(rustix::process::geteuid().as_raw().wrapping_add(1)).await;
        assert!(client.is_err());
        assert!(server.is_err());
    }
}
