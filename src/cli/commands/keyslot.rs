//! `keyslot`.

use super::Session;
use super::key_choice::{self, Chosen};
use super::vault::{properties, yes};
use crate::cli::args::KeyslotCommand;
use crate::cli::error::Error;
use crate::cli::output;
use crate::cli::recovery::Paper;
use crate::dbus::proxy::AddKeyslotOptions;

pub(super) async fn run(session: &mut Session, command: KeyslotCommand) -> Result<(), Error> {
    match command {
        KeyslotCommand::Add { label, holder, with, recovery_code_out, key } => {
            let paper = recovery_code_out.map(|path| Paper::new(&path)).transpose()?;
            let Chosen { slot, generate, management_key } = key_choice::read(key)?;
            let options = AddKeyslotOptions {
                holder,
                with: session.options.consenting(with),
                token: session.options.token.clone(),
                reason: session.options.reason.clone(),
                slot,
                generate,
                management_key,
                recovery: paper.as_ref().map(Paper::inlet).transpose()?,
            };
            add(session, &label, options, paper).await
        }
        KeyslotCommand::List => list(session).await,
        KeyslotCommand::Remove { id } => {
            session.may_ask_all().await?;
            session.daemon.vault().await?.remove_keyslot(&id, session.token_options()).await?;
            output::confirm("Removed. Copies of the vault made before still open with its token.");
            Ok(())
        }
        KeyslotCommand::Relabel { id, label } => {
            Ok(session.daemon.vault().await?.relabel_keyslot(&id, &label).await?)
        }
        KeyslotCommand::Check { id } => check(session, &id.unwrap_or_default()).await,
        KeyslotCommand::Rekey => {
            session.may_ask_all().await?;
            session.daemon.vault().await?.rekey(session.token_options()).await?;
            output::confirm("New keys. Copies of the vault made before still open with the tokens of then.");
            Ok(())
        }
    }
}

async fn add(
    session: &mut Session,
    label: &str,
    options: AddKeyslotOptions,
    paper: Option<Paper>,
) -> Result<(), Error> {
    session.may_ask_all().await?;
    let vault = session.daemon.vault().await?;
    let adding = vault.add_keyslot(label, options);
    let id = match paper {
        None => adding.await?,
        Some(paper) => {
            paper.during(&format!("\u{201c}{label}\u{201d}, a recovery code of the vault"), adding).await?
        }
    };
    output::confirm(&format!("\u{201c}{label}\u{201d} opens the vault, too."));
    output::lines([id])
}

async fn check(session: &mut Session, id: &str) -> Result<(), Error> {
    session.may_ask_all().await?;
    let checked = session.daemon.vault().await?.check_keyslot(id, session.token_options()).await?;
    if session.options.json {
        return output::json(&checked);
    }
    let several = properties(session).await?.thresholds.1 > 1;
    let opens = if several { "does its part in opening" } else { "opens" };
    let locks = if checked.guard { "both locks" } else { "the unlock lock" };
    output::lines([format!("\u{201c}{}\u{201d} of {} {opens} {locks}", checked.label, checked.holder)])
}

async fn list(session: &Session) -> Result<(), Error> {
    // Which of them are plugged in is known from the last look at the tokens.
    session.daemon.manager().await?.tokens().await?;
    let slots = properties(session).await?.keyslots;
    let heads = ["ID", "HOLDER", "LABEL", "KIND", "CREATED", "PROVED", "PRESENT"];
    output::listing(session.options.json, &slots, heads, |slot| {
        [
            slot.id.clone(),
            slot.holder.clone(),
            slot.label.clone(),
            slot.kind.clone(),
            output::time(slot.created),
            if slot.proved == 0 { "never".to_owned() } else { output::time(slot.proved) },
            yes(slot.present),
        ]
    })
}
