//! `keyslot`.

use super::Session;
use super::key_choice::{self, Chosen};
use super::vault::{properties, yes};
use crate::cli::args::KeyslotCommand;
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::proxy::AddKeyslotOptions;

pub(super) async fn run(session: &mut Session, command: KeyslotCommand) -> Result<(), Error> {
    match command {
        KeyslotCommand::Add { label, holder, with, key } => {
            let token = session.options.token.clone();
            let Chosen { slot, generate, management_key } = key_choice::read(key)?;
            let options = AddKeyslotOptions { holder, with, token, slot, generate, management_key };
            add(session, &label, options).await
        }
        KeyslotCommand::List => list(session).await,
    }
}

async fn add(session: &mut Session, label: &str, options: AddKeyslotOptions) -> Result<(), Error> {
    session.may_ask_all().await?;
    let id = session.daemon.vault().await?.add_keyslot(label, options).await?;
    output::confirm(&format!("\u{201c}{label}\u{201d} opens the vault, too."));
    output::lines([id])
}

async fn list(session: &Session) -> Result<(), Error> {
    // Which of them are plugged in is known from the last look at the tokens.
    session.daemon.manager().await?.tokens().await?;
    let slots = properties(session).await?.keyslots;
    let heads = ["ID", "HOLDER", "LABEL", "KIND", "CREATED", "PRESENT"];
    output::listing(session.options.json, &slots, heads, |slot| {
        [
            slot.id.clone(),
            slot.holder.clone(),
            slot.label.clone(),
            slot.kind.clone(),
            output::time(slot.created),
            yes(slot.present),
        ]
    })
}
