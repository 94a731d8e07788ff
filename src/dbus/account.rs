//! `org.rootseal.Account1`

use super::door::Door;
use super::error::Error;
use super::options::{Dict, Options, entry};
use super::paths::account_path;
use super::pipe;
use super::request::Request;
use crate::service::{AccountInfo, AccountRef, Act, CodeRequest, NewTotp, OnTokens, RemoveTotp, SeedForm};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::{Connection, fdo, interface};
use zbus::{Fd, OwnedFd, OwnedObjectPath, OwnedVariant};

pub(super) struct Account {
    door: Arc<Door>,
    id: AccountRef,
}

/// Makes the account's object on this connection, if it is not there yet.
pub(super) async fn publish(
    door: &Arc<Door>,
    connection: &Connection,
    id: AccountRef,
) -> Result<OwnedObjectPath, Error> {
    let path = account_path(id)?;
    connection.object_server().at(&path, Account { door: Arc::clone(door), id }).await?;
    Ok(path)
}

/// Tells clients that the account's keys or devices changed.
pub(super) async fn changed(connection: &Connection, id: AccountRef) -> Result<(), Error> {
    let account = connection.object_server().interface::<_, Account>(account_path(id)?).await?;
    let emitter = account.signal_emitter();
    let account = account.get().await;
    account.access_key_ids_changed(emitter).await?;
    account.mfa_serials_changed(emitter).await?;
    Ok(())
}

impl Account {
    async fn info(&self, header: Option<Header<'_>>, connection: &Connection) -> fdo::Result<AccountInfo> {
        self.door.admit(header, connection).await?;
        self.door.service.account(self.id).await.map_err(|error| fdo::Error::Failed(error.to_string()))
    }
}

#[interface(name = "org.rootseal.Account1")]
impl Account {
    async fn import_access_key(
        &self,
        options: HashMap<String, OwnedVariant>,
        input: OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.door, Act::Manage, &mut options, &header, connection).await?;
        options.end()?;
        let csv = pipe::read(input.into()).await?;
        let who = request.who();
        request.run(self.door.service.import_access_key(self.id, &csv, who)).await
    }

    async fn add_totp(
        &self,
        options: HashMap<String, OwnedVariant>,
        input: OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        let mut options = Options::new(options);
        let form = match options.text("format")?.as_deref() {
            Some("uri") => SeedForm::Uri,
            Some("base32") => SeedForm::Base32,
            _ => return Err(Error::invalid("format must be uri or base32")),
        };
        let mfa_serial = options.text("mfa_serial")?;
        let on = OnTokens {
            tokens: options.texts("on_token")?,
            in_vault: options.flag("in_vault")?,
            touch: options.flag_or("touch", true)?,
        };
        let request = Request::new(&self.door, Act::Manage, &mut options, &header, connection).await?;
        options.end()?;
        let bytes = pipe::read(input.into()).await?;
        let who = request.who();
        let new = NewTotp { bytes: &bytes, form, mfa_serial, on };
        let added = request.run(self.door.service.add_totp(self.id, new, who)).await?;
        Ok(Dict::from([entry("mfa_serial", added.mfa_serial)?, entry("weak", added.weak)?]))
    }

    async fn remove_totp(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        let mut options = Options::new(options);
        let mfa_serial = options.text("mfa_serial")?;
        let from_tokens = options.texts("from_token")?;
        let request = Request::new(&self.door, Act::Manage, &mut options, &header, connection).await?;
        options.end()?;
        let who = request.who();
        let removal = RemoveTotp { account: self.id, mfa_serial, from_tokens };
        let left_on = request.run(self.door.service.remove_totp(removal, who)).await?;
        Ok(Dict::from([entry("left_on", left_on)?]))
    }

    async fn get_totp(
        &self,
        options: HashMap<String, OwnedVariant>,
        out: Fd<'_>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        let mut options = Options::new(options);
        let mfa_serial = options.text("mfa_serial")?;
        let request = Request::new(&self.door, Act::Use, &mut options, &header, connection).await?;
        options.end()?;
        let out = pipe::Out::new(out)?;
        let who = request.who();
        let wanted = CodeRequest { account: self.id, mfa_serial };
        let (code, valid_until) = request.run(self.door.service.totp_code(wanted, who)).await?;
        out.code(&code).await?;
        Ok(valid_until)
    }

    #[zbus(property)]
    async fn name(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.name)
    }

    #[zbus(property)]
    async fn account_id(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.account_id)
    }

    #[zbus(property)]
    async fn partition(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.partition)
    }

    #[zbus(property)]
    async fn user(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.user)
    }

    #[zbus(property)]
    async fn email(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.email)
    }

    #[zbus(property)]
    async fn access_key_ids(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<Vec<String>> {
        Ok(self.info(header, connection).await?.access_keys)
    }

    #[zbus(property)]
    async fn mfa_serials(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<Vec<String>> {
        Ok(self.info(header, connection).await?.mfa)
    }
}
