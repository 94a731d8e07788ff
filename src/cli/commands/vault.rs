//! `init`, `unlock`, `lock`, `vault`, `token list`.

use super::key_choice::{self, Chosen};
use super::{Session, backup};
use crate::cli::args::{KeyChoice, TokenCommand, VaultCommand};
use crate::cli::error::Error;
use crate::cli::output;
use crate::cli::recovery::Paper;
use crate::dbus::names::VAULT_PATH;
use crate::dbus::proxy::{CreateVaultOptions, TokenRow, VaultProperties};
use std::path::PathBuf;

pub(super) async fn init(
    session: &mut Session,
    label: Option<String>,
    holder: Option<String>,
    recovery: Option<PathBuf>,
    key: KeyChoice,
) -> Result<(), Error> {
    session.may_ask().await?;
    let token = session.options.token.clone();
    let Chosen { slot, generate, management_key } = key_choice::read(key)?;
    let paper = recovery.map(|path| Paper::new(&path)).transpose()?;
    let options = CreateVaultOptions {
        label,
        holder,
        token,
        reason: session.options.reason.clone(),
        slot,
        generate,
        management_key,
        recovery: paper.as_ref().map(Paper::inlet).transpose()?,
    };
    let manager = session.daemon.manager().await?;
    match paper {
        None => manager.create_vault(options).await?,
        Some(paper) => paper.during("A recovery code of the vault", manager.create_vault(options)).await?,
    }
    output::confirm("The vault is made and unlocked. Keep a second token for it in a safe place.");
    Ok(())
}

pub(super) async fn unlock(session: &mut Session) -> Result<(), Error> {
    session.may_ask().await?;
    session.daemon.vault().await?.unlock(session.token_options()).await?;
    output::confirm("Unlocked.");
    Ok(())
}

pub(super) async fn lock(session: &Session) -> Result<(), Error> {
    session.daemon.vault().await?.lock().await?;
    output::confirm("Locked; every session is forgotten.");
    Ok(())
}

pub(super) async fn run(session: &mut Session, command: VaultCommand) -> Result<(), Error> {
    match command {
        VaultCommand::Check => check(session).await,
        VaultCommand::Backup { file } => backup::backup(session, &file).await,
        VaultCommand::Restore { file, older } => backup::restore(session, &file, older).await,
    }
}

async fn check(session: &mut Session) -> Result<(), Error> {
    session.may_ask().await?;
    let reply = session.daemon.vault().await?.check().await?;
    if session.options.json {
        return output::json(&reply);
    }
    output::lines([format!("sound: generation {}, {} items", reply.generation, reply.items)])
}

pub(super) async fn properties(session: &Session) -> Result<VaultProperties, Error> {
    session.daemon.properties(VAULT_PATH, "org.rootseal.Vault1").await
}

pub(super) async fn tokens(session: &Session, command: &TokenCommand) -> Result<(), Error> {
    match command {
        TokenCommand::List => {}
    }
    let manager = session.daemon.manager().await?;
    let tokens = manager.tokens().await?;
    for problem in manager.token_problems().await? {
        output::note(&problem.to_string());
    }
    let heads = ["ID", "LABEL", "KIND", "SERIAL", "ENROLLED", "PIN", "TOUCH"];
    let rows = |token: &TokenRow| {
        let kind = if token.is_virtual { format!("{}, virtual", token.kind) } else { token.kind.clone() };
        let (enrolled, pin) = (yes(token.enrolled), yes(token.needs_pin));
        [
            token.id.clone(),
            token.label.clone(),
            kind,
            token.serial.clone(),
            enrolled,
            pin,
            token.touch.clone(),
        ]
    };
    output::listing(session.options.json, &tokens, heads, rows)
}

pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
