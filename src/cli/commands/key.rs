//! `key`.

use super::{Session, account, input};
use crate::cli::args::KeyCommand;
use crate::cli::error::Error;
use crate::cli::{handover, output};
use rustix::fd::AsFd as _;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct KeyRow {
    account: String,
    access_key_id: String,
}

pub(super) async fn run(session: &mut Session, command: KeyCommand) -> Result<(), Error> {
    match command {
        KeyCommand::Import { account, file } => import(session, &account, &file).await,
        KeyCommand::List { account } => {
            session.may_ask().await?;
            let accounts = account::rows(session, account.as_deref()).await?;
            let keys: Vec<KeyRow> = accounts
                .into_iter()
                .flat_map(|account| {
                    let row = move |access_key_id| KeyRow { account: account.name.clone(), access_key_id };
                    account.access_keys.into_iter().map(row)
                })
                .collect();
            output::listing(session.options.json, &keys, ["ACCOUNT", "ACCESS KEY"], |key| {
                [key.account.clone(), key.access_key_id.clone()]
            })
        }
    }
}

async fn import(session: &mut Session, account: &str, file: &Path) -> Result<(), Error> {
    let csv = handover::inlet(&input::read(file)?)?;
    session.may_ask().await?;
    let account = session.daemon.account(account).await?;
    let options = session.token_options();
    let id = account.import_access_key(options, csv.as_fd().into()).await?;
    output::lines([id])?;
    output::confirm("The key is sealed. The file still holds it: delete it, and its copies.");
    Ok(())
}
