//! `status`.

use super::drill::Schedule;
use super::{Session, vault};
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::names::{MANAGER_PATH, RECOVERY_ID};
use crate::dbus::proxy::{AuditProperties, KeyslotRow, ManagerProperties, TokenProblemRow, TokenRow};
use serde::Serialize;

#[derive(Serialize)]
struct Status {
    address: String,
    version: String,
    state: String,
    problem: String,
    path: String,
    generation: u64,
    thresholds: Thresholds,
    /// Seconds since 1970; null: the vault does not lock itself.
    lock_deadline: Option<u64>,
    keyslots: Vec<KeyslotRow>,
    tokens: Vec<TokenRow>,
    token_problems: Vec<TokenProblemRow>,
    /// What to know about the audit log.
    audit_warnings: Vec<String>,
    /// When the next drill is due.
    drill: Schedule,
    /// How many; null while it cannot be known.
    accounts: Option<usize>,
}

#[derive(Serialize)]
struct Thresholds {
    unlock: u32,
    guard: u32,
}

pub(super) async fn run(session: &Session) -> Result<(), Error> {
    let manager = session.daemon.manager().await?;
    let about: ManagerProperties = session.daemon.properties(MANAGER_PATH, "org.rootseal.Manager1").await?;
    // First of all: which keyslots are plugged in is known from the last look at the tokens.
    let tokens = manager.tokens().await?;
    let token_problems = manager.token_problems().await?;
    let vault = vault::properties(session).await?;
    let audit: AuditProperties = session.daemon.properties(MANAGER_PATH, "org.rootseal.Audit1").await?;
    let accounts = match vault.state.as_str() {
        // The vault may lock itself between the two calls: then the number is not known after all.
        "unlocked" => manager.accounts().await.ok().map(|accounts| accounts.len()),
        _ => None,
    };
    let status = Status {
        address: session.choice.address.to_string(),
        version: about.version,
        state: vault.state,
        problem: vault.problem,
        path: vault.path,
        generation: vault.generation,
        thresholds: Thresholds { unlock: vault.thresholds.0, guard: vault.thresholds.1 },
        lock_deadline: Some(vault.lock_deadline).filter(|deadline| *deadline != 0),
        keyslots: vault.keyslots,
        tokens,
        token_problems,
        audit_warnings: audit.warnings,
        drill: Schedule::ask(session).await?,
        accounts,
    };
    if session.options.json {
        return output::json(&status);
    }
    output::lines(status.lines(output::now()))
}

fn holders(count: u32) -> String {
    if count == 1 { "1 holder".to_owned() } else { format!("{count} holders") }
}

impl Status {
    fn lines(&self, now: u64) -> Vec<String> {
        let mut lines = vec![format!("daemon    {} at {}", self.version, self.address), self.vault()];
        if let Some(deadline) = self.lock_deadline {
            lines.push(format!("closes    in {} min", deadline.saturating_sub(now).div_ceil(60)));
        }
        if let Some(accounts) = self.accounts {
            lines.push(format!("accounts  {accounts}"));
        }
        if !self.keyslots.is_empty() {
            let Thresholds { unlock, guard } = self.thresholds;
            lines.push(format!(
                "quorum    to unlock: {}; for a guarded secret: {}",
                holders(unlock),
                holders(guard)
            ));
        }
        for slot in &self.keyslots {
            let present = match slot.present {
                true => "plugged in",
                false if slot.kind == RECOVERY_ID => "on paper",
                false => "absent",
            };
            lines.push(format!("keyslot   {} of {} ({}), {present}", slot.label, slot.holder, slot.kind));
        }
        for token in &self.tokens {
            let kind = if token.is_virtual { "virtual " } else { "" };
            let enrolled = if token.enrolled { "opens this vault" } else { "not enrolled" };
            lines.push(format!("token     {} ({kind}{}, {}), {enrolled}", token.label, token.kind, token.id));
        }
        for problem in &self.token_problems {
            lines.push(format!("problem   {problem}"));
        }
        if let Some(drill) = self.drill.words() {
            lines.push(format!("drill     {drill}"));
        }
        for warning in &self.audit_warnings {
            lines.push(format!("audit     {warning}"));
        }
        lines
    }

    fn vault(&self) -> String {
        match self.state.as_str() {
            "absent" => format!("vault     absent ({}): run `rootseal init`", self.path),
            "damaged" => format!("vault     damaged ({}): {}", self.path, self.problem),
            state => format!("vault     {state}, generation {} ({})", self.generation, self.path),
        }
    }
}
