//! The objects that come and go: tokens, and accounts while the vault is open.

use super::account;
use super::door::Door;
use super::error::Error;
use super::listing;
use super::names::{ACCOUNT_INTERFACE, MANAGER_PATH, TOKEN_INTERFACE, VAULT_PATH};
use super::paths::{account_path, token_path};
use super::token::{self, Token};
use super::vault::Vault;
use crate::service::{AccountRef, TokenInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zbus::Connection;

/// Keeps the objects of one connection as the service has them, and tells its clients.
#[derive(Default)]
struct Shown {
    tokens: BTreeMap<String, TokenInfo>,
    accounts: BTreeSet<AccountRef>,
}

/// Follows every change for as long as the connection lives.
pub(super) async fn follow(door: Arc<Door>, connection: Connection) {
    let (mut changes, mut arrivals) = (door.service.changes(), door.service.arrivals());
    let mut shown = Shown::default();
    let mut synced = shown.sync(&door, &connection).await;
    loop {
        if let Err(error) = synced {
            tracing::warn!(?error, "the objects on the bus are not up to date");
        }
        tokio::select! {
            more = changes.changed() => {
                if more.is_err() { return }
                synced = shown.sync(&door, &connection).await;
            }
            more = arrivals.changed() => {
                if more.is_err() { return }
                synced = shown.sync_tokens(&door, &connection).await;
            }
            () = connection.closed() => return,
        }
    }
}

impl Shown {
    async fn sync(&mut self, door: &Arc<Door>, connection: &Connection) -> Result<(), Error> {
        self.sync_vault(connection).await?;
        self.sync_accounts(door, connection).await?;
        self.sync_tokens(door, connection).await
    }

    async fn sync_vault(&self, connection: &Connection) -> Result<(), Error> {
        let vault = connection.object_server().interface::<_, Vault>(VAULT_PATH).await?;
        let emitter = vault.signal_emitter();
        let vault = vault.get().await;
        vault.state_changed(emitter).await?;
        vault.problem_changed(emitter).await?;
        vault.generation_changed(emitter).await?;
        vault.thresholds_changed(emitter).await?;
        vault.keyslots_changed(emitter).await?;
        Ok(())
    }

    async fn sync_accounts(&mut self, door: &Arc<Door>, connection: &Connection) -> Result<(), Error> {
        let accounts = door.service.accounts().await.unwrap_or_default();
        let now: BTreeSet<_> = accounts.iter().map(|account| account.id).collect();
        for gone in self.accounts.difference(&now) {
            let path = account_path(*gone)?;
            connection.object_server().remove::<account::Account, _>(&path).await?;
            listing::removed(connection, path, ACCOUNT_INTERFACE).await?;
        }
        for account in accounts {
            account::publish(door, connection, account.id).await?;
            if !self.accounts.contains(&account.id) {
                listing::account_added(connection, account).await?;
            }
        }
        for known in self.accounts.intersection(&now) {
            account::changed(connection, *known).await?;
        }
        self.accounts = now;
        Ok(())
    }

    async fn sync_tokens(&mut self, door: &Arc<Door>, connection: &Connection) -> Result<(), Error> {
        let enrolled = door.service.enrolled_slots();
        let tokens = door.service.tokens().await?;
        let now: BTreeMap<_, _> = tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
        // Also those that somebody listed before they were seen here.
        for id in door.tokens_gone(now.keys()) {
            let path = token_path(&id)?;
            connection.object_server().remove::<Token, _>(&path).await?;
            listing::removed(connection, path, TOKEN_INTERFACE).await?;
        }
        for (id, token) in &now {
            if self.tokens.get(id) == Some(token) {
                continue;
            }
            token::publish(door, connection, token.clone()).await?;
            if !self.tokens.contains_key(id) {
                listing::token_added(connection, token.clone()).await?;
            }
        }
        self.tokens = now;
        if door.service.enrolled_slots() != enrolled {
            let vault = connection.object_server().interface::<_, Vault>(VAULT_PATH).await?;
            vault.get().await.keyslots_changed(vault.signal_emitter()).await?;
        }
        Ok(())
    }
}

/// The objects that are always there.
pub(super) fn serve<'b>(
    builder: zbus::connection::Builder<'b>,
    door: &Arc<Door>,
) -> zbus::connection::Builder<'b> {
    builder
        .serve_at(MANAGER_PATH, super::manager::Manager(Arc::clone(door)))
        .serve_at(MANAGER_PATH, listing::Listing(Arc::clone(door)))
        .serve_at(MANAGER_PATH, super::health::Health(Arc::clone(door)))
        .serve_at(MANAGER_PATH, super::audit::Audit(Arc::clone(door)))
        .serve_at(VAULT_PATH, super::drill::Drill(Arc::clone(door)))
        .serve_at(VAULT_PATH, super::policy::Policy(Arc::clone(door)))
        .serve_at(VAULT_PATH, Vault(Arc::clone(door)))
}
