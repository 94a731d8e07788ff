//! `org.rootseal.Audit1`

use super::door::Door;
use super::error::Error;
use super::options::{Dict, Options, entry};
use super::pipe;
use crate::service::{AuditFilter, AuditOutcome, AuditVerdict};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::{Connection, OwnedFd, OwnedVariant, fdo, interface};

pub(super) struct Audit(pub(super) Arc<Door>);

#[interface(name = "org.rootseal.Audit1")]
impl Audit {
    async fn read(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedFd, Error> {
        self.0.caller(&header, connection).await?;
        let mut options = Options::new(options);
        let filter = AuditFilter {
            since: options.time("since")?,
            until: options.time("until")?,
            event: options.text("event")?,
            outcome: options.text("outcome")?.map(|word| outcome(&word)).transpose()?,
            account: options.text("account")?,
            uid: options.number("uid")?,
            last: options.number("last")?,
        };
        options.end()?;
        let lines = self.0.service.audit_lines(filter).await?;
        let pipe = pipe::streaming(|out| {
            // Who reads must be able to tell the end from a daemon that died.
            let end = match lines(out) {
                Ok(()) => &b"{\"end\":true}\n"[..],
                Err(_) => b"{\"end\":false}\n",
            };
            let _reader_gone = out.write_all(end).and_then(|()| out.flush());
        })?;
        Ok(pipe.into())
    }

    async fn verify(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        self.0.caller(&header, connection).await?;
        let verdict = self.0.service.verify_audit_log().await?;
        let AuditVerdict { first, last, verified, unverified, with_vault, fault } = verdict;
        let intact = fault.is_none();
        let (bad_record, problem) = fault.map_or((0, String::new()), |fault| (fault.record, fault.text));
        Ok(Dict::from([
            entry("intact", intact)?,
            entry("first", first)?,
            entry("last", last.seq)?,
            entry("head", last.hex())?,
            entry("macs_verified", verified)?,
            entry("macs_unverified", unverified)?,
            entry("with_vault", with_vault)?,
            entry("bad_record", bad_record)?,
            entry("problem", problem)?,
        ]))
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn warnings(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<Vec<String>> {
        self.0.admit(header, connection).await?;
        Ok(self.0.service.audit_warnings())
    }
}

fn outcome(word: &str) -> Result<AuditOutcome, Error> {
    match word {
        "granted" => Ok(AuditOutcome::Granted),
        "refused" => Ok(AuditOutcome::Refused),
        "failed" => Ok(AuditOutcome::Failed),
        _ => Err(Error::invalid("an outcome is granted, refused or failed")),
    }
}
