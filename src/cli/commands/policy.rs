//! `policy`.

use super::Session;
use crate::cli::args::{ANY, PolicyCommand, PolicyRulesArgs, Uids};
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::names::VAULT_PATH;
use crate::dbus::proxy::{PolicyProperties, PolicyRow, PolicyRules};

pub(super) async fn run(session: &mut Session, command: PolicyCommand) -> Result<(), Error> {
    match command {
        PolicyCommand::Set(rules) => set(session, rules).await,
        PolicyCommand::Show => show(session).await,
    }
}

async fn set(session: &mut Session, rules: PolicyRulesArgs) -> Result<(), Error> {
    let PolicyRulesArgs { demand_reason, hours, longest_session, unlock_uids, use_uids, manage_uids } = rules;
    let hours = match hours.as_slice() {
        [] => None,
        [any] if any == ANY => Some(Vec::new()),
        _ => Some(hours),
    };
    let uids = |uids: Option<Uids>| uids.map(|Uids(uids)| uids);
    let rules = PolicyRules {
        demand_reason,
        hours_utc: hours,
        longest_session,
        unlock_uids: uids(unlock_uids),
        use_uids: uids(use_uids),
        manage_uids: uids(manage_uids),
    };
    session.may_ask_all().await?;
    session.daemon.policy().await?.change(rules, session.token_options()).await?;
    output::confirm("Set. It binds wherever this vault is opened.");
    Ok(())
}

async fn show(session: &Session) -> Result<(), Error> {
    let policy: PolicyProperties = session.daemon.properties(VAULT_PATH, "org.rootseal.Policy1").await?;
    if session.options.json {
        return output::json(&policy);
    }
    let rules = rows(&policy.vault).into_iter().zip(rows(&policy.machine));
    let rules = rules.map(|((name, vault), (_, machine))| Rule { name, vault, machine });
    let rules: Vec<_> = rules.collect();
    output::listing(false, &rules, ["RULE", "VAULT", "THIS MACHINE"], |rule| {
        [rule.name.to_owned(), rule.vault.clone(), rule.machine.clone()]
    })
}

#[derive(serde::Serialize)]
struct Rule {
    name: &'static str,
    vault: String,
    machine: String,
}

fn rows(policy: &PolicyRow) -> [(&'static str, String); 6] {
    let or_any = |text: String| if text.is_empty() { ANY.to_owned() } else { text };
    let uids = |uids: &[u32]| or_any(uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    let longest = match policy.longest_session {
        0 => ANY.to_owned(),
        seconds => format!("{seconds} s"),
    };
    [
        ("demand-reason", super::vault::yes(policy.demand_reason)),
        ("hours (UTC)", or_any(policy.hours_utc.join("; "))),
        ("longest-session", longest),
        ("unlock-uids", uids(&policy.unlock_uids)),
        ("use-uids", uids(&policy.use_uids)),
        ("manage-uids", uids(&policy.manage_uids)),
    ]
}
