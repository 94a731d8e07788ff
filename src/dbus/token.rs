//! `org.rootseal.Token1`

use super::door::Door;
use super::error::Error;
use super::paths::token_path;
use crate::service::TokenInfo;
use std::sync::Arc;
use zbus::message::Header;
use zbus::{Connection, OwnedObjectPath, fdo, interface};

pub(super) struct Token {
    door: Arc<Door>,
    info: TokenInfo,
}

/// Makes the token's object on this connection, or brings the one that is there up to date and tells its clients.
pub(super) async fn publish(
    door: &Arc<Door>,
    connection: &Connection,
    info: TokenInfo,
) -> Result<OwnedObjectPath, Error> {
    let path = token_path(&info.id)?;
    door.show_token(&info.id);
    let server = connection.object_server();
    let new = Token { door: Arc::clone(door), info };
    let Some(Token { info, .. }) = server.at(&path, new).await? else { return Ok(path) };
    let token = server.interface::<_, Token>(&path).await?;
    let before = std::mem::replace(&mut token.get_mut().await.info, info.clone());
    let emitter = token.signal_emitter();
    let token = token.get().await;
    if before.label != info.label {
        token.label_changed(emitter).await?;
    }
    if before.serial != info.serial {
        token.serial_changed(emitter).await?;
    }
    if before.keyslot.is_some() != info.keyslot.is_some() {
        token.enrolled_changed(emitter).await?;
    }
    if before.needs_pin != info.needs_pin {
        token.needs_pin_changed(emitter).await?;
    }
    if before.touch != info.touch {
        token.touch_changed(emitter).await?;
    }
    Ok(path)
}

impl Token {
    async fn info(&self, header: Option<Header<'_>>, connection: &Connection) -> fdo::Result<&TokenInfo> {
        self.door.admit(header, connection).await?;
        Ok(&self.info)
    }
}

#[interface(name = "org.rootseal.Token1")]
impl Token {
    #[zbus(property)]
    async fn kind(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.kind.clone())
    }

    #[zbus(property)]
    async fn label(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.label.clone())
    }

    #[zbus(property)]
    async fn serial(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.serial.clone())
    }

    #[zbus(property, name = "Virtual")]
    async fn is_virtual(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<bool> {
        Ok(self.info(header, connection).await?.is_virtual)
    }

    #[zbus(property)]
    async fn enrolled(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<bool> {
        Ok(self.info(header, connection).await?.keyslot.is_some())
    }

    #[zbus(property)]
    async fn needs_pin(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<bool> {
        Ok(self.info(header, connection).await?.needs_pin)
    }
    #[zbus(property)]
    async fn touch(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<&'static str> {
        Ok(self.info(header, connection).await?.touch)
    }
}
