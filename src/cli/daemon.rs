//! The connection to the daemon.

use crate::cli::address::Address;
use crate::cli::error::Error;
use crate::dbus::names::BUS_NAME;
use crate::dbus::proxy::{Account1Proxy, Manager1Proxy, Operation1Proxy, Vault1Proxy};
use std::io::ErrorKind;
use std::time::Duration;
use zbus::connection::{Builder, Connection};
use zbus::names::OwnedUniqueName;
use zbus::proxy::CacheProperties;
use zbus::{OwnedObjectPath, Type};

/// How long a daemon may take to pick up a connection.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Daemon {
    connection: Connection,
}

impl Daemon {
    pub(super) async fn connect(address: &Address) -> Result<Self, Error> {
        let builder = match address {
            Address::Session => Builder::session(),
            Address::System => Builder::system(),
            Address::Bus(bus) => Builder::address(bus.as_str()),
            Address::Peer(peer) => Builder::address(peer.as_str()).p2p(),
        };
        let unreachable = |why: String| Error::Unreachable { place: address.place(), why };
        let connection = tokio::time::timeout(PATIENCE, builder.build())
            .await
            .map_err(|_elapsed| unreachable("it does not answer".to_owned()))?
            .map_err(|error| unreachable(reason(&error)))?;
        if *address != Address::System {
            // A PIN goes over this socket: whoever serves it must be us. The system bus has a policy for it.
            let theirs = connection.peer_creds().await.ok().and_then(|peer| peer.unix_user_id());
            let ours = rustix::process::geteuid().as_raw();
            if theirs != Some(ours) {
                return Err(Error::Stranger { place: address.place(), theirs, ours });
            }
        }
        Ok(Self { connection })
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

    pub(super) async fn manager(&self) -> Result<Manager1Proxy<'_>, Error> {
        Ok(Manager1Proxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?)
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

fn reason(error: &zbus::Error) -> String {
    let (zbus::Error::Connection(io, _) | zbus::Error::InputOutput(io)) = error else {
        return error.to_string();
    };
    let known = [
        (ErrorKind::NotFound, "there is no such socket"),
        (ErrorKind::ConnectionRefused, "nobody listens there"),
        (ErrorKind::PermissionDenied, "permission denied"),
    ];
    let known = known.into_iter().find(|(kind, _)| *kind == io.kind());
    known.map_or_else(|| io.to_string(), |(_, why)| why.to_owned())
}
