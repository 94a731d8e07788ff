//! `org.rootseal.Token1`

use super::door::{Door, while_there};
use super::error::Error;
use super::options::{Dict, Options, entry};
use super::paths::token_path;
use super::pipe;
use crate::secret::Pin;
use crate::service::{Act, OathChange, TokenInfo, Who};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use zbus::message::Header;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, fdo, interface};

pub(super) struct Token {
    door: Arc<Door>,
    /// Behind a lock of its own: a method that waits for a person keeps the object borrowed all the time.
    info: Mutex<TokenInfo>,
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
    let new = Token { door: Arc::clone(door), info: Mutex::new(info.clone()) };
    if server.at(&path, new).await?.is_none() {
        return Ok(path);
    }
    let token = server.interface::<_, Token>(&path).await?;
    let emitter = token.signal_emitter();
    let token = token.get().await;
    let before = token.replace(info.clone());
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
    async fn info(&self, header: Option<Header<'_>>, connection: &Connection) -> fdo::Result<TokenInfo> {
        self.door.admit(header, connection).await?;
        Ok(self.now())
    }

    fn now(&self) -> TokenInfo {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings it up to date; returns what it was before.
    fn replace(&self, info: TokenInfo) -> TokenInfo {
        std::mem::replace(&mut *self.info.lock().unwrap_or_else(PoisonError::into_inner), info)
    }

    async fn change(
        &self,
        change: OathChange,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.door.caller_who_may(Act::Manage, header, connection).await?;
        let prompter = self.door.prompter(&caller, connection);
        let id = self.now().id;
        let who = Who::new(&caller, &prompter, Some(&id));
        while_there(&caller, self.door.service.change_oath(change, who)).await
    }
}

#[interface(name = "org.rootseal.Token1")]
impl Token {
    async fn oath_accounts(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        let caller = self.door.caller(&header, connection).await?;
        let prompter = self.door.prompter(&caller, connection);
        let id = self.now().id;
        let who = Who::new(&caller, &prompter, Some(&id));
        let accounts = while_there(&caller, self.door.service.oath_accounts(who)).await?;
        let dicts = accounts.into_iter().map(|account| {
            Ok(Dict::from([
                entry("name", account.name)?,
                entry("kind", account.kind)?,
                entry("algorithm", account.algorithm)?,
                entry("period", account.period)?,
            ]))
        });
        dicts.collect()
    }

    async fn rename_oath(
        &self,
        name: String,
        new_name: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.change(OathChange::Rename(name, new_name), &header, connection).await
    }

    async fn remove_oath(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.change(OathChange::Remove(name), &header, connection).await
    }

    async fn set_oath_password(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.door.caller(&header, connection).await?;
        let mut options = Options::new(options);
        let password = options.descriptor("password")?;
        let clear = options.flag("clear")?;
        options.end()?;
        let password = match (password, clear) {
            (Some(descriptor), false) => {
                let password = pipe::read(descriptor).await?;
                Some(Pin::copy_from(&password))
            }
            (None, true) => None,
            _ => return Err(Error::invalid("either password or clear is needed")),
        };
        self.change(OathChange::Password(password), &header, connection).await
    }

    #[zbus(property)]
    async fn kind(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.kind)
    }

    #[zbus(property)]
    async fn label(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.label)
    }

    #[zbus(property)]
    async fn serial(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.serial)
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
