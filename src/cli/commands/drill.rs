//! `drill`: proves every keyslot and a backup, one after another, and prints what came of it.

use super::Session;
use super::vault::properties;
use crate::cli::error::Error;
use crate::cli::output;
use crate::cli::terminal::Terminal;
use crate::dbus::names::{RECOVERY_ID, VAULT_PATH};
use crate::dbus::proxy::{DrillProperties, DrillReply, DrillSlotRow, KeyslotRow, TokenOptions};
use rustix::fd::AsFd as _;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is printed, to be filed.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    drill: DrillReply,
    thresholds: (u32, u32),
    /// Why something was not proved: by the keyslot's id, or `backup`.
    problems: HashMap<String, String>,
    /// The log's last record and its hash; empty where the log is not intact, or the vault was locked meanwhile.
    audit_last: u64,
    audit_head: String,
}

pub(super) async fn run(session: &mut Session, backup: Option<PathBuf>) -> Result<(), Error> {
    let before = properties(session).await?;
    if before.keyslots.is_empty() {
        return Err(Error::no_vault(&before.problem));
    }
    session.may_ask_all().await?;
    if before.state == "locked" {
        // Else the log's MACs and its end, and the vault's own contents, could not be verified.
        session.daemon.vault().await?.unlock(session.token_options()).await?;
    }
    session.daemon.vault().await?.check().await?;
    session.daemon.drill().await?.begin().await?;
    let terminal = if session.options.no_prompt { None } else { Terminal::open() };
    let mut problems = HashMap::new();
    for slot in &before.keyslots {
        if let Err(error) = prove(session, slot, terminal.as_ref()).await {
            output::note(&format!("not proved: {}: {error}", name(&slot.label, &slot.holder)));
            problems.insert(slot.id.clone(), error.to_string());
        }
    }
    match backup {
        Some(path) => {
            if let Err(error) = prove_backup(session, &path).await {
                output::note(&format!("not proved: the backup: {error}"));
                problems.insert("backup".to_owned(), error.to_string());
            }
        }
        None => {
            problems.insert("backup".to_owned(), "none was given: name one with --backup".to_owned());
        }
    }
    let audit = session.daemon.audit().await?.verify().await?;
    let drill = session.daemon.drill().await?.finish(session.token_options()).await?;
    let verified = audit.intact && audit.with_vault;
    let (audit_last, audit_head) = if verified { (audit.last, audit.head) } else { Default::default() };
    let complete = drill.complete && verified;
    let report = Report { drill, thresholds: before.thresholds, problems, audit_last, audit_head };
    if session.options.json {
        output::json(&report)?;
    } else {
        output::lines(report.lines())?;
    }
    if complete { Ok(()) } else { Err(Error::DrillIncomplete) }
}

fn name(label: &str, holder: &str) -> String {
    format!("\u{201c}{label}\u{201d} of {holder}")
}

/// Has one keyslot proved; who has it is asked to plug it in.
async fn prove(session: &Session, slot: &KeyslotRow, terminal: Option<&Terminal>) -> Result<(), Error> {
    let name = name(&slot.label, &slot.holder);
    let mut options = TokenOptions { token: None, reason: session.options.reason.clone() };
    if slot.kind == RECOVERY_ID {
        if session.options.recovery_code_file.is_none() {
            ask(
                terminal,
                &format!("{name}, a recovery code. Enter: type it; s, or Ctrl-C: leave it out "),
                "",
            )
            .await?;
        }
        options.token = Some(RECOVERY_ID.to_owned());
    } else {
        while !is_there(session, &slot.id).await? {
            let question = format!("Plug in {name}. Enter: it is plugged in; s, or Ctrl-C: leave it out ");
            ask(terminal, &question, "its token is not plugged in").await?;
        }
    }
    let checked = session.daemon.vault().await?.check_keyslot(&slot.id, options).await;
    match checked.map_err(Error::from) {
        Err(error) if slot.kind == RECOVERY_ID && error.is_no_prompt() => {
            return Err(Error::Missing("give the code with --recovery-code-file".to_owned()));
        }
        checked => drop(checked?),
    }
    output::note(&format!("proved: {name}"));
    Ok(())
}

/// Asks whether to go on. Without a terminal there is nobody to do anything: `otherwise` says what was to be done.
async fn ask(terminal: Option<&Terminal>, question: &str, otherwise: &str) -> Result<(), Error> {
    let Some(terminal) = terminal else {
        return if otherwise.is_empty() { Ok(()) } else { Err(Error::Missing(otherwise.to_owned())) };
    };
    let typed = terminal.ask(question).await?;
    terminal.clear();
    if typed.with(<[u8]>::is_empty) { Ok(()) } else { Err(Error::Missing("it was left out".to_owned())) }
}

async fn is_there(session: &Session, id: &str) -> Result<bool, Error> {
    session.daemon.manager().await?.tokens().await?;
    Ok(properties(session).await?.keyslots.iter().any(|slot| slot.id == id && slot.present))
}

async fn prove_backup(session: &Session, path: &Path) -> Result<(), Error> {
    let copy = super::backup::read(path)?;
    let drill = session.daemon.drill().await?;
    let generation = drill.check_backup(session.token_options(), copy.as_fd().into()).await?;
    output::note(&format!("proved: the backup of generation {generation}"));
    Ok(())
}

/// When drills were, and are due. Seconds since 1970.
#[derive(Serialize)]
pub(super) struct Schedule {
    /// Null: never.
    last: Option<u64>,
    /// Null: the configuration wants none, or there is no vault.
    due: Option<u64>,
    overdue: bool,
}

impl Schedule {
    pub(super) async fn ask(session: &Session) -> Result<Self, Error> {
        let times: DrillProperties = session.daemon.properties(VAULT_PATH, "org.rootseal.Drill1").await?;
        let some = |time| Some(time).filter(|time| *time != 0);
        let (last, due) = (some(times.last), some(times.due));
        Ok(Self { last, due, overdue: due.is_some_and(|due| due <= output::now()) })
    }

    pub(super) const fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// In words; nothing where none is due.
    pub(super) fn words(&self) -> Option<String> {
        let due = output::time(self.due?);
        let last = self.last.map_or_else(|| "never held".to_owned(), output::time);
        Some(if self.overdue {
            format!("overdue since {due}, last: {last}; run `rootseal drill`")
        } else {
            format!("due {due}, last: {last}")
        })
    }
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let DrillReply { vault, generation, epoch, keyslots, .. } = &self.drill;
        let outcome = if self.drill.complete { "complete" } else { "NOT COMPLETE" };
        let (unlock, guard) = self.thresholds;
        let mut lines = vec![
            "ROOTSEAL DRILL".to_owned(),
            format!("ended      {}: {outcome}", output::time(self.drill.ended)),
            format!("vault      {vault}"),
            format!("state      generation {generation}, keys of epoch {epoch}"),
            format!("quorum     {unlock} to unlock, {guard} to use what is guarded"),
        ];
        lines.extend(keyslots.iter().map(|slot| self.keyslot(slot)));
        lines.push(match self.drill.backup_checked {
            0 => format!("backup     NOT PROVED: {}", self.problem("backup")),
            at => {
                format!("backup     generation {}, opened {}", self.drill.backup_generation, output::time(at))
            }
        });
        lines.push(match self.audit_last {
            0 => "audit log  NOT VERIFIED: run `rootseal audit verify`".to_owned(),
            last => format!("audit log  intact to record {last}, {}", self.audit_head),
        });
        lines.push(String::new());
        lines.push("custodian  ________________________   witness  ________________________".to_owned());
        lines
    }

    fn keyslot(&self, slot: &DrillSlotRow) -> String {
        let result = match slot.proved {
            0 => format!("NOT PROVED: {}", self.problem(&slot.id)),
            at => format!("opened {}", output::time(at)),
        };
        format!("keyslot    {} ({}), {result}", name(&slot.label, &slot.holder), slot.kind)
    }

    fn problem(&self, of: &str) -> &str {
        self.problems.get(of).map_or("", String::as_str)
    }
}
