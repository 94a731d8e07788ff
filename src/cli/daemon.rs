//! The connection to the daemon.

use crate::cli::address::Address;
use crate::cli::error::Error;
use crate::dbus::names::BUS_NAME;
use crate::dbus::proxy::{
    Account1Proxy, Audit1Proxy, Drill1Proxy, FindTokenOptions, Health1Proxy, Manager1Proxy, Operation1Proxy,
    Policy1Proxy, Token1Proxy, Vault1Proxy,
};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::time::Duration;
use zbus::address::Transport;
use zbus::address::transport::UnixSocket;
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream as _;
use zbus::message;
use zbus::names::OwnedUniqueName;
use zbus::proxy::CacheProperties;
use zbus::{MatchRule, MessageStream, OwnedObjectPath, Type};

/// How long a daemon may take to pick up a connection.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Daemon {
    connection: Connection,
}

impl Daemon {
    pub(super) async fn connect(address: &Address) -> Result<Self, Error> {
        match tokio::time::timeout(PATIENCE, connection(address)).await {
            Ok(connection) => Ok(Self { connection: connection? }),
            Err(_elapsed) => Err(unreachable(address, "it does not answer")),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The daemon's own name on the bus; none on a private socket.
    pub(super) async fn unique_name(&self) -> Result<Option<OwnedUniqueName>, Error> {
        if !self.connection.is_bus() {
            return Ok(None);
        }
        let bus = "org.freedesktop.DBus";
        let reply = self
            .connection
            .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "GetNameOwner", &BUS_NAME)
            .await?;
        Ok(Some(reply.body().deserialize()?))
    }

    /// Waits until the daemon's name leaves the bus; on a private socket, the end of the connection tells.
    pub(super) async fn gone(&self) -> Error {
        self.watch().await.err().unwrap_or_else(|| Error::Gone("its name left the bus".to_owned()))
    }

    async fn watch(&self) -> Result<(), Error> {
        let Some(name) = self.unique_name().await? else { return std::future::pending().await };
        let rule = MatchRule::builder().msg_type(message::Type::Signal).sender("org.freedesktop.DBus");
        let rule = rule.member("NameOwnerChanged").add_arg(name.as_str()).build()?;
        let mut changes = MessageStream::for_match_rule(rule, &self.connection, None).await?;
        // Whether it went before the stream was there.
        if self.unique_name().await?.as_ref() == Some(&name) {
            std::future::poll_fn(|context| Pin::new(&mut changes).poll_next(context)).await;
        }
        Ok(())
    }

    pub(super) async fn manager(&self) -> Result<Manager1Proxy<'_>, Error> {
        Ok(Manager1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
    }

    pub(super) async fn drill(&self) -> Result<Drill1Proxy<'_>, Error> {
        Ok(Drill1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
    }

    pub(super) async fn health(&self) -> Result<Health1Proxy<'_>, Error> {
        Ok(Health1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
    }

    pub(super) async fn policy(&self) -> Result<Policy1Proxy<'_>, Error> {
        Ok(Policy1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
    }

    pub(super) async fn audit(&self) -> Result<Audit1Proxy<'_>, Error> {
        Ok(Audit1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
    }

    pub(super) async fn vault(&self) -> Result<Vault1Proxy<'_>, Error> {
        Ok(Vault1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
    }

    /// The account of that name.
    pub(super) async fn account(&self, name: &str) -> Result<Account1Proxy<'_>, Error> {
        let path = self.manager().await?.find_account(name).await?;
        let builder = Account1Proxy::builder(&self.connection).cache_properties(CacheProperties::No);
        Ok(builder.path(path).build().await?)
    }

    /// The token with OATH accounts: the one of that id, or the only one.
    pub(super) async fn oath_token(&self, id: Option<String>) -> Result<Token1Proxy<'_>, Error> {
        // One that was named may be of another kind, which it says itself.
        let kind = id.is_none().then(|| "oath".to_owned());
        let path = self.manager().await?.find_token(FindTokenOptions { token: id, kind }).await?;
        let builder = Token1Proxy::builder(&self.connection).cache_properties(CacheProperties::No);
        Ok(builder.path(path).build().await?)
    }

    pub(super) async fn operation(&self, path: OwnedObjectPath) -> Result<Operation1Proxy<'_>, Error> {
        let builder = Operation1Proxy::builder(&self.connection).cache_properties(CacheProperties::No);
        Ok(builder.path(path).build().await?)
    }

    /// All properties of one interface of one object, in one call.
    pub(super) async fn properties<T>(&self, path: &str, interface: &str) -> Result<T, Error>
    where
        T: for<'de> serde::Deserialize<'de> + Type,
    {
        let properties = "org.freedesktop.DBus.Properties";
        let reply =
            self.connection.call_method(Some(BUS_NAME), path, Some(properties), "GetAll", &interface).await?;
        Ok(reply.body().deserialize()?)
    }
}

/// The user's session bus, if there is one and it is the user's own.
pub(super) async fn session_bus() -> Option<Connection> {
    let named = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"].into_iter();
    if named.filter_map(std::env::var_os).all(|value| value.is_empty()) {
        return None;
    }
    connection(&Address::Session).await.ok()
}

async fn connection(address: &Address) -> Result<Connection, Error> {
    let builder = match address {
        // The system bus has a policy that says who may be rootseald.
        Address::System => Builder::system(),
        Address::Session => Builder::unix_stream(own_socket(address, zbus::Address::session())?),
        Address::Bus(bus) => Builder::unix_stream(own_socket(address, bus.as_str().try_into())?),
        Address::Peer(peer) => Builder::unix_stream(own_socket(address, peer.as_str().try_into())?).p2p(),
    };
    builder.build().await.map_err(|error| unreachable(address, &reason(&error)))
}

/// A socket whose server is this very user: PINs and sessions go over it. Asked of the socket itself and before a
/// word is exchanged (zbus would ask as well, but starts a thread to look the user's groups up).
fn own_socket(address: &Address, parsed: Result<zbus::Address, zbus::Error>) -> Result<UnixStream, Error> {
    let parsed = parsed.map_err(|error| unreachable(address, &reason(&error)))?;
    let Some(path) = socket_path(parsed.transport()) else {
        return Err(Error::Usage(format!(
            "{address} is no Unix socket, and only of one can be told who serves it: write unix:path=SOCKET"
        )));
    };
    let failed = |error: std::io::Error| unreachable(address, &socket_reason(&error));
    let stream = connect(path.as_encoded_bytes()).map_err(|errno| failed(errno.into()))?;
    let theirs =
        rustix::net::sockopt::socket_peercred(&stream).map_err(|errno| failed(errno.into()))?.uid.as_raw();
    let ours = rustix::process::geteuid().as_raw();
    if theirs == ours { Ok(stream) } else { Err(Error::Stranger { place: address.place(), theirs, ours }) }
}

/// Connects; of all that the program does, this alone waits outside the event loop, which has nothing else to do yet
/// and would take several system calls for it.
fn connect(path: &[u8]) -> Result<UnixStream, Errno> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let address = match path.strip_prefix(b"\0") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(path)?,
    };
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // For room in the daemon's queue.
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket.into())
}

/// A file's path, or an abstract name after a zero byte.
fn socket_path(transport: &Transport) -> Option<OsString> {
    let Transport::Unix(unix) = transport else { return None };
    if let UnixSocket::Abstract(name) = unix.path() {
        let mut path = OsString::from("\0");
        path.push(name);
        return Some(path);
    }
    let UnixSocket::File(path) = unix.path() else { return None };
    Some(path.as_os_str().to_owned())
}

fn unreachable(address: &Address, why: &str) -> Error {
    Error::Unreachable { place: address.place(), why: why.to_owned() }
}

fn reason(error: &zbus::Error) -> String {
    if let zbus::Error::Connection(io, _) | zbus::Error::InputOutput(io) = error {
        return socket_reason(io);
    }
    error.to_string()
}

fn socket_reason(error: &std::io::Error) -> String {
    let known = [
        (ErrorKind::NotFound, "there is no such socket"),
        (ErrorKind::ConnectionRefused, "nobody listens there"),
        (ErrorKind::PermissionDenied, "permission denied"),
        (ErrorKind::WouldBlock, "it does not answer"),
    ];
    let known = known.into_iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, why)| why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};

    fn socket(address: &str) -> Result<UnixStream, Error> {
        own_socket(&Address::Peer(address.to_owned()), address.try_into())
    }

    #[test]
    fn an_abstract_socket_is_found() {
        let name = format!("rootseal-test-{}", std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(socket(&format!("unix:abstract={name}")).is_ok());
        drop(listener);
        assert!(matches!(socket(&format!("unix:abstract={name}")), Err(Error::Unreachable { .. })));
    }

    #[test]
    fn a_server_that_cannot_be_told_is_not_talked_to() {
        assert_eq!(socket("tcp:host=127.0.0.1,port=1").unwrap_err().code(), 2);
    }

    /// Needs somebody else's socket: as root, one is made by a child that drops to another user.
    #[test]
    fn somebody_elses_server_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = std::env::temp_dir().join(format!("rootseal-stranger-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::chown(&directory, Some(65534), None).unwrap();
        let path = directory.join("bus");
        let script = "import os,socket,sys\nos.setuid(65534)\ns=socket.socket(socket.AF_UNIX)\n\
                      s.bind(sys.argv[1])\ns.listen()\nprint('ready',flush=True)\nsys.stdin.read()\n";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let error = socket(&format!("unix:path={}", path.display())).unwrap_err();
        assert!(matches!(error, Error::Stranger { theirs: 65534, ours: 0, .. }), "{error}");
        drop(child.stdin.take());
        child.wait().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
