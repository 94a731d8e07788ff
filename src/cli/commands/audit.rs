//! `audit`.

use super::Session;
use crate::cli::args::{AuditCommand, AuditFilter};
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::proxy::{Audit1Proxy, ReadAuditOptions, VerifyReply};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub(super) async fn run(session: &Session, command: AuditCommand) -> Result<(), Error> {
    let audit = session.daemon.audit().await?;
    match command {
        AuditCommand::Show { filter } => show(session, &audit, filter).await,
        AuditCommand::Verify => {
            let verdict = audit.verify().await?;
            if session.options.json {
                output::json(&verdict)?;
            } else if verdict.intact {
                output::lines(sound(&verdict))?;
            }
            judge(&verdict)
        }
        AuditCommand::Export { file } => export(&audit, &file).await,
    }
}

async fn show(session: &Session, audit: &Audit1Proxy<'_>, filter: AuditFilter) -> Result<(), Error> {
    let AuditFilter { since, until, event, outcome, account, uid, last } = filter;
    let options = ReadAuditOptions { since, until, event, outcome, account, uid, last };
    let lines = lines(audit, options).await?;
    let records: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_slice(line).unwrap_or_else(|_none| unreadable(line)))
        .collect();
    let heads = ["SEQ", "TIME", "EVENT", "OUTCOME", "UID", "PROGRAM", "TOKEN", "WHAT", "WHY"];
    output::listing(session.options.json, &records, heads, |record| {
        let number = |name: &str| record[name].as_u64();
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let outcome = match (text("outcome"), text("reason")) {
            (outcome, reason) if reason.is_empty() => outcome,
            (outcome, reason) => format!("{outcome}: {reason}"),
        };
        let event = match number("count") {
            Some(count) => format!("{} ({count} times)", text("event")),
            None => text("event"),
        };
        let what = if record["unreadable"].is_string() { text("unreadable") } else { text("what") };
        [
            number("seq").map(|seq| seq.to_string()).unwrap_or_default(),
            number("time").map(output::time).unwrap_or_default(),
            event,
            outcome,
            number("uid").map(|uid| uid.to_string()).unwrap_or_default(),
            text("says_it_is"),
            text("token"),
            what,
            text("why"),
        ]
    })
}

/// A line that somebody else wrote.
fn unreadable(line: &[u8]) -> Value {
    serde_json::json!({ "unreadable": String::from_utf8_lossy(line) })
}

async fn export(audit: &Audit1Proxy<'_>, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    // First of all: what is there stays, and is not asked for in vain.
    let new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = new.map_err(failed)?;
    let written = write_out(audit, path, &mut file).await;
    if let Err(error) = written {
        // Half of one would pass for a log.
        let _nothing_more_to_do = std::fs::remove_file(path);
        return Err(error);
    }
    judge(&written?)
}

/// The lines as they stand in the log; the last line is what the verification came to.
async fn write_out(audit: &Audit1Proxy<'_>, path: &Path, file: &mut File) -> Result<VerifyReply, Error> {
    let lines = lines(audit, ReadAuditOptions::default()).await?;
    let verdict = audit.verify().await?;
    let last = serde_json::json!({ "verification": verdict }).to_string();
    let mut text = Vec::new();
    for line in lines.iter().map(Vec::as_slice).chain([last.as_bytes()]) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    written.map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(verdict)
}

async fn lines(audit: &Audit1Proxy<'_>, options: ReadAuditOptions) -> Result<Vec<Vec<u8>>, Error> {
    let pipe = std::os::fd::OwnedFd::from(audit.read(options).await?);
    let read = tokio::task::spawn_blocking(move || {
        BufReader::new(File::from(pipe)).split(b'\n').collect::<std::io::Result<Vec<_>>>()
    })
    .await;
    let broken = || Error::Protocol("the log came only in part".to_owned());
    let mut lines = read
        .map_err(|_panicked| broken())?
        .map_err(|source| Error::Read { path: PathBuf::from("the log"), source })?;
    match lines.pop() {
        Some(end) if end == b"{\"end\":true}" => Ok(lines),
        _ => Err(broken()),
    }
}

fn sound(verdict: &VerifyReply) -> Vec<String> {
    let mut lines =
        vec![format!("intact: records {} to {}, head {}", verdict.first.max(1), verdict.last, verdict.head)];
    if verdict.with_vault {
        lines.push(format!("MACs: {} verified, {} older", verdict.macs_verified, verdict.macs_unverified));
    } else {
        lines.push(
            "MACs: not verified, nor what the vault has sealed: the vault is locked, run `rootseal unlock` first"
                .to_owned(),
        );
    }
    if verdict.first > 1 {
        lines.push(format!("records before {} are in files that are not here", verdict.first));
    }
    lines
}

fn judge(verdict: &VerifyReply) -> Result<(), Error> {
    if verdict.intact {
        return Ok(());
    }
    Err(Error::BadLog { record: verdict.bad_record, problem: verdict.problem.clone() })
}
