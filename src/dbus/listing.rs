//! `org.freedesktop.DBus.ObjectManager`. Our own, because what it lists depends on who asks and on the lock,
//! and because on a private socket objects are made when somebody first looks.

use super::account;
use super::door::Door;
use super::error::Error;
use super::names::{ACCOUNT_INTERFACE, MANAGER_PATH, TOKEN_INTERFACE};
use super::options::{Dict, entry};
use super::paths::{account_path, token_path};
use crate::service::{AccountInfo, TokenInfo};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};
use zbus::{ObjectPath, OwnedObjectPath};

pub(super) struct Listing(pub(super) Arc<Door>);

type Interfaces = HashMap<&'static str, Dict>;

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl Listing {
    async fn get_managed_objects(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<HashMap<OwnedObjectPath, Interfaces>, Error> {
        self.0.caller(&header, connection).await?;
        let mut objects = HashMap::new();
        for token in self.0.service.tokens().await? {
            let path = super::token::publish(&self.0, connection, token.clone()).await?;
            let properties = token_properties(token)?;
            objects.insert(path, Interfaces::from([(TOKEN_INTERFACE, properties)]));
        }
        for account in self.0.service.accounts().await.unwrap_or_default() {
            let path = account::publish(&self.0, connection, account.id).await?;
            objects.insert(path, Interfaces::from([(ACCOUNT_INTERFACE, account_properties(account)?)]));
        }
        Ok(objects)
    }

    #[zbus(signal)]
    async fn interfaces_added(
        emitter: &SignalEmitter<'_>,
        object_path: ObjectPath<'_>,
        interfaces: Interfaces,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn interfaces_removed(
        emitter: &SignalEmitter<'_>,
        object_path: ObjectPath<'_>,
        interfaces: Vec<&str>,
    ) -> zbus::Result<()>;
}

/// Tells the clients of a connection of a new token.
pub(super) async fn token_added(connection: &Connection, token: TokenInfo) -> Result<(), Error> {
    let path = token_path(&token.id)?;
    added(connection, path, Interfaces::from([(TOKEN_INTERFACE, token_properties(token)?)])).await
}

/// Tells the clients of a connection of a new account.
pub(super) async fn account_added(connection: &Connection, account: AccountInfo) -> Result<(), Error> {
    let path = account_path(account.id)?;
    added(connection, path, Interfaces::from([(ACCOUNT_INTERFACE, account_properties(account)?)])).await
}

async fn added(connection: &Connection, path: OwnedObjectPath, what: Interfaces) -> Result<(), Error> {
    let emitter = SignalEmitter::new(connection, MANAGER_PATH)?;
    Ok(Listing::interfaces_added(&emitter, path.into(), what).await?)
}

/// Tells the clients of a connection that an object is gone.
pub(super) async fn removed(
    connection: &Connection,
    path: OwnedObjectPath,
    interface: &'static str,
) -> Result<(), Error> {
    let emitter = SignalEmitter::new(connection, MANAGER_PATH)?;
    Ok(Listing::interfaces_removed(&emitter, path.into(), vec![interface]).await?)
}

fn token_properties(token: TokenInfo) -> Result<Dict, Error> {
    Ok(Dict::from([
        entry("Kind", token.kind)?,
        entry("Label", token.label)?,
        entry("Serial", token.serial)?,
        entry("Virtual", token.is_virtual)?,
        entry("Enrolled", token.keyslot.is_some())?,
        entry("NeedsPin", token.needs_pin)?,
        entry("Touch", token.touch)?,
    ]))
}

fn account_properties(account: AccountInfo) -> Result<Dict, Error> {
    Ok(Dict::from([
        entry("Name", account.name)?,
        entry("AccountId", account.account_id)?,
        entry("Partition", account.partition)?,
        entry("User", account.user)?,
        entry("Email", account.email)?,
        entry("AccessKeyIds", account.access_keys)?,
        entry("MfaSerials", account.mfa)?,
    ]))
}
