//! `quorum`.

use super::Session;
use super::vault::properties;
use crate::cli::args::QuorumCommand;
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::proxy::KeyslotRow;
use serde::Serialize;
use std::collections::BTreeMap;

/// Who has to consent, and who can.
#[derive(Serialize)]
struct Quorum {
    unlock: u32,
    guard: u32,
    holders: Vec<Holder>,
}

/// One holder, with all their keyslots.
#[derive(Serialize)]
struct Holder {
    name: String,
    keyslots: Vec<String>,
    /// Whether one of their tokens is plugged in.
    present: bool,
}

pub(super) async fn run(session: &mut Session, command: QuorumCommand) -> Result<(), Error> {
    match command {
        QuorumCommand::Set { unlock, guard } => {
            session.may_ask_all().await?;
            let vault = session.daemon.vault().await?;
            vault.set_thresholds(unlock, guard, session.token_options()).await?;
            output::confirm("Set. Copies of the vault made before still open with the holders of then.");
            Ok(())
        }
        QuorumCommand::Show => show(session).await,
    }
}

async fn show(session: &Session) -> Result<(), Error> {
    session.daemon.manager().await?.tokens().await?;
    let vault = properties(session).await?;
    if vault.keyslots.is_empty() {
        return Err(Error::no_vault(&vault.problem));
    }
    let mut holders: BTreeMap<String, Vec<KeyslotRow>> = BTreeMap::new();
    for slot in vault.keyslots {
        holders.entry(slot.holder.clone()).or_default().push(slot);
    }
    let holders = holders.into_iter().map(|(name, slots)| Holder {
        name,
        present: slots.iter().any(|slot| slot.present),
        keyslots: slots.into_iter().map(|slot| slot.label).collect(),
    });
    let quorum = Quorum { unlock: vault.thresholds.0, guard: vault.thresholds.1, holders: holders.collect() };
    if session.options.json {
        return output::json(&quorum);
    }
    let needed = |count: u32, what: &str| format!("{count} of {} to {what}", quorum.holders.len());
    let heads = [needed(quorum.unlock, "unlock"), needed(quorum.guard, "use what is guarded")];
    let holders = quorum.holders.iter().map(|holder| {
        let present = if holder.present { ", present" } else { "" };
        format!("{}: {}{present}", holder.name, holder.keyslots.join(", "))
    });
    output::lines(heads.into_iter().chain(holders))
}
