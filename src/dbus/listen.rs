//! The private socket: peer to peer, no bus. Only the daemon's own user is let in, and nobody may be silent.

use super::door::{Door, House};
use super::objects;
use super::socket::Client;
use crate::service::caller::Caller;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use zbus::Guid;
use zbus::connection::Builder;

/// How long a client may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections at one time.
const MOST: usize = 256;

/// The socket, removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Listens at `path`. A socket that nobody listens on any more is replaced; anything else is left alone.
    ///
    /// # Errors
    /// Somebody listens there, or the system refuses.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Ok(found) = std::fs::symlink_metadata(path) {
            let dead =
                found.file_type().is_socket() && std::os::unix::net::UnixStream::connect(path).is_err();
            if !dead {
                return Err(io::Error::from(io::ErrorKind::AddrInUse));
            }
            std::fs::remove_file(path)?;
        }
        // The process's umask (0077) makes it the owner's alone.
        Ok(Self { socket: UnixListener::bind(path)?, path: path.to_owned() })
    }

    /// Lets clients in until the runtime stops.
    pub async fn serve(&self, house: House) {
        let places = Arc::new(Semaphore::new(MOST));
        let mut number = 0_u64;
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a client was not let in");
                    // Out of descriptors: room comes back when a client leaves.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            number = number.wrapping_add(1);
            let house = house.clone();
            let name = format!("private {number}");
            tokio::spawn(async move {
                if let Err(error) = greet(stream, house, name).await {
                    tracing::debug!(%error, "a client left before it was let in");
                }
                drop(place);
            });
        }
    }
}

async fn greet(stream: tokio::net::UnixStream, house: House, name: String) -> zbus::Result<()> {
    let peer = stream.peer_cred().map_err(|error| zbus::Error::InputOutput(Arc::new(error)))?;
    if peer.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let (presence, watched) = watch::channel(());
    let door = Door::private(&house, Caller::new(peer.uid(), pid, name, watched));
    let builder = Builder::socket(Client { stream, uid: peer.uid() }).server(Guid::generate()).p2p();
    let connection = objects::serve(builder, &door).build();
    let connection = tokio::time::timeout(HANDSHAKE, connection)
        .await
        .map_err(|_elapsed| zbus::Error::Handshake("nothing was said".into()))??;
    connection.closed().await;
    drop(presence);
    Ok(())
}
