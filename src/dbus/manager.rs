//! `org.rootseal.Manager1`

use super::account;
use super::agents::Serves;
use super::door::{Door, while_there};
use super::error::Error;
use super::keys;
use super::operation;
use super::options::{Dict, Options, entry};
use super::paths;
use super::pipe;
use super::request::Request;
use crate::service::{
    AccountInfo, Act, Answer, CredentialRequest, MfaDevice, NewAccount, NewProfile, NewVaultOptions,
    TokenInfo,
};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};
use zbus::{Fd, OwnedObjectPath, OwnedVariant, Variant};

pub(super) struct Manager(pub(super) Arc<Door>);

type Given = HashMap<String, OwnedVariant>;

#[interface(name = "org.rootseal.Manager1")]
impl Manager {
    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"))]
    #[expect(clippy::unused_self, reason = "a property is asked of an object")]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    async fn create_vault(
        &self,
        options: Given,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let mut options = Options::new(options);
        let label = options.text("label")?;
        let holder = options.text("holder")?.unwrap_or_else(|| "owner".to_owned());
        let request = Request::new(&self.0, Act::Manage, &mut options, &header, connection).await?;
        let key = keys::take(&mut options).await?;
        let recovery = keys::new_recovery(&mut options, None, None).await?;
        options.end()?;
        let new = NewVaultOptions { label: label.unwrap_or_else(|| "token".to_owned()), holder, recovery };
        let who = request.who();
        request.run(self.0.service.create_vault(new, key, who)).await
    }

    async fn add_account(
        &self,
        name: String,
        options: Given,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Error> {
        self.0.caller_who_may(Act::Manage, &header, connection).await?;
        let mut options = Options::new(options);
        let new = NewAccount {
            name,
            account_id: options.text("account_id")?.ok_or_else(|| Error::invalid("account_id is needed"))?,
            partition: options.text("partition")?,
            user: options.text("user")?,
            email: options.text("email")?,
        };
        options.end()?;
        let id = self.0.service.add_account(new).await?;
        account::publish(&self.0, connection, id).await
    }

    async fn find_account(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Error> {
        self.0.caller(&header, connection).await?;
        let id = self.0.service.find_account(name).await?;
        account::publish(&self.0, connection, id).await
    }

    async fn remove_account(
        &self,
        name: String,
        options: Given,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Manage, &mut options, &header, connection).await?;
        options.end()?;
        let who = request.who();
        request.run(self.0.service.remove_account(name, who)).await
    }

    async fn accounts(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        self.0.caller(&header, connection).await?;
        self.0.service.accounts().await?.into_iter().map(account_dict).collect()
    }

    async fn add_profile(
        &self,
        name: String,
        options: Given,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.0.caller_who_may(Act::Manage, &header, connection).await?;
        let mut options = Options::new(options);
        let new = NewProfile {
            name,
            account: options.text("account")?.ok_or_else(|| Error::invalid("account is needed"))?,
            duration: options.number("duration")?,
            region: options.text("region")?,
        };
        options.end()?;
        Ok(self.0.service.add_profile(new).await?)
    }

    async fn remove_profile(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.0.caller_who_may(Act::Manage, &header, connection).await?;
        Ok(self.0.service.remove_profile(name).await?)
    }

    async fn profiles(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        self.0.caller(&header, connection).await?;
        let profiles = self.0.service.profiles().await?.into_iter();
        let dicts = profiles.map(|profile| {
            Ok(Dict::from([
                entry("name", profile.name)?,
                entry("account", profile.account)?,
                entry("account_id", profile.account_id)?,
                entry("request", profile.request)?,
                entry("duration", profile.duration)?,
                entry("region", profile.region)?,
            ]))
        });
        dicts.collect()
    }

    async fn tokens(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        let caller = self.0.caller(&header, connection).await?;
        let tokens = while_there(&caller, self.0.service.tokens()).await?;
        tokens.into_iter().map(token_dict).collect()
    }

    async fn token_problems(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        let caller = self.0.caller(&header, connection).await?;
        let problems = while_there(&caller, self.0.service.token_problems()).await?.into_iter();
        let dicts = problems.map(|problem| {
            Ok(Dict::from([
                entry("code", problem.code)?,
                entry("place", problem.place)?,
                entry("text", problem.text)?,
            ]))
        });
        dicts.collect()
    }

    async fn find_token(
        &self,
        options: Given,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Error> {
        let caller = self.0.caller(&header, connection).await?;
        let mut options = Options::new(options);
        let (token, kind) = (options.text("token")?, options.text("kind")?);
        options.end()?;
        let found = self.0.service.find_listed(token.as_deref(), kind.as_deref());
        let found = while_there(&caller, found).await?;
        super::token::publish(&self.0, connection, found).await
    }

    async fn mfa_devices(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        self.0.caller(&header, connection).await?;
        self.0.service.mfa_devices().await?.into_iter().map(device_dict).collect()
    }

    async fn get_credentials(
        &self,
        profile: String,
        options: Given,
        out: Fd<'_>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        let mut options = Options::new(options);
        let wanted = CredentialRequest {
            profile,
            endpoint: options.text("endpoint")?,
            region: options.text("region")?,
            no_prompt: options.flag("no_prompt")?,
        };
        let request = Request::new(&self.0, Act::Use, &mut options, &header, connection).await?;
        options.end()?;
        let out = pipe::Out::new(out)?;
        match request.run(self.0.service.credentials(wanted, request.caller())).await? {
            Answer::Ready(credentials, expiration) => {
                out.session(&credentials).await?;
                Ok(Dict::from([entry("expiration", expiration)?]))
            }
            Answer::Needed(operation) => {
                let path = operation::publish(
                    &self.0,
                    connection,
                    *operation,
                    request.token().map(ToOwned::to_owned),
                )
                .await?;
                Ok(Dict::from([entry("operation", Variant::from(path))?]))
            }
        }
    }

    async fn register_agent(
        &self,
        path: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.0.caller(&header, connection).await?;
        let peer = self.0.peer(&caller, connection);
        self.0.service.agent_registered(&caller).await?;
        self.0.agents.register(caller, peer, path, Serves::User);
        Ok(())
    }

    async fn register_own_agent(
        &self,
        path: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.0.caller(&header, connection).await?;
        let peer = self.0.peer(&caller, connection);
        self.0.agents.register(caller, peer, path, Serves::Itself);
        Ok(())
    }

    async fn unregister_agent(
        &self,
        path: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.0.caller(&header, connection).await?;
        if self.0.agents.unregister(&caller, &path) {
            Ok(())
        } else {
            Err(crate::service::Error::NotFound("agent of yours at that path".to_owned()).into())
        }
    }

    async fn refuse(
        &self,
        prompt: u64,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.0.caller(&header, connection).await?;
        if self.0.agents.refuse(&caller, prompt) {
            Ok(())
        } else {
            Err(crate::service::Error::NotFound("prompt of that number on an agent of yours".to_owned())
                .into())
        }
    }

    /// Something wants the user. Sent to the connections that may see it, one by one.
    #[zbus(signal)]
    async fn prompt(emitter: &SignalEmitter<'_>, details: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;

    /// It no longer does.
    #[zbus(signal)]
    async fn prompt_done(emitter: &SignalEmitter<'_>, prompt: u64) -> zbus::Result<()>;
}

fn account_dict(account: AccountInfo) -> Result<Dict, Error> {
    Ok(Dict::from([
        entry("path", Variant::from(paths::account_path(account.id)?))?,
        entry("name", account.name)?,
        entry("account_id", account.account_id)?,
        entry("partition", account.partition)?,
        entry("user", account.user)?,
        entry("email", account.email)?,
        entry("created", account.created)?,
        entry("access_keys", account.access_keys)?,
        entry("mfa", account.mfa)?,
    ]))
}

fn device_dict(device: MfaDevice) -> Result<Dict, Error> {
    let tokens = device
        .tokens
        .into_iter()
        .map(|(name, touch)| HashMap::from([("name", Variant::from(name)), ("touch", Variant::from(touch))]));
    Ok(Dict::from([
        entry("account", device.account)?,
        entry("mfa_serial", device.serial)?,
        entry("in_vault", device.in_vault)?,
        entry("tokens", tokens.collect::<Vec<_>>())?,
    ]))
}

fn token_dict(token: TokenInfo) -> Result<Dict, Error> {
    Ok(Dict::from([
        entry("path", Variant::from(paths::token_path(&token.id)?))?,
        entry("id", token.id)?,
        entry("kind", token.kind)?,
        entry("label", token.label)?,
        entry("serial", token.serial)?,
        entry("virtual", token.is_virtual)?,
        entry("enrolled", token.keyslot.is_some())?,
        entry("needs_pin", token.needs_pin)?,
        entry("touch", token.touch)?,
    ]))
}
