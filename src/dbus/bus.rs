//! A message bus: the well-known name, and callers that come and go.

use super::door::{Door, House};
use super::names::BUS_NAME;
use super::objects;
use futures_util::StreamExt as _;
use std::sync::Arc;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::DBusProxy;

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bus {
    /// The user's.
    Session,
    /// The machine's.
    System,
    /// One at this D-Bus address.
    At(String),
}

/// Serves on a bus. The name is taken when everything is in its place.
///
/// # Errors
/// The bus is not there, or the name is taken.
pub async fn serve(bus: &Bus, house: House) -> zbus::Result<Connection> {
    let builder = match bus {
        Bus::Session => Builder::session(),
        Bus::System => Builder::system(),
        Bus::At(address) => Builder::address(address.as_str()),
    };
    let door = Door::bus(&house);
    let connection = objects::serve(builder, &door).build().await?;
    tokio::spawn(watch(Arc::clone(&door), connection.clone()));
    connection.request_name(BUS_NAME).await?;
    tokio::spawn(objects::follow(door, connection.clone()));
    Ok(connection)
}

/// Tells the door who left the bus.
async fn watch(door: Arc<Door>, connection: Connection) {
    let Ok(bus) = DBusProxy::new(&connection).await else { return };
    let Ok(mut changes) = bus.receive_name_owner_changed().await else { return };
    while let Some(change) = changes.next().await {
        if let Ok(change) = change.args()
            && change.new_owner().is_none()
        {
            door.forget(change.name().as_str());
        }
    }
}
