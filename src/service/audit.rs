//! What the service writes into the audit log.

use super::Service;
use super::caller::Caller;
use super::error::Error;
use super::purpose::Purpose;
use crate::audit::{Entry, Outcome};

impl Service {
    /// Records a secret's release before it happens: whoever calls this releases nothing when it fails.
    pub(super) async fn record(
        &self,
        caller: &Caller,
        purpose: &Purpose,
        token: Option<&str>,
    ) -> Result<(), Error> {
        self.autolock.used();
        self.disk.record(self.entry(caller, purpose, token, Outcome::Granted, None)).await
    }

    /// Records who shows the prompts of a user from now on.
    ///
    /// # Errors
    /// [`Error::AuditFailed`]: then it does not.
    pub async fn agent_registered(&self, caller: &Caller) -> Result<(), Error> {
        let purpose = Purpose::new("agent", format!("show the prompts of uid {}", caller.uid));
        self.record(caller, &purpose, None).await
    }

    /// Records that nothing was released. That this fails too takes nothing from the refusal.
    pub(super) async fn record_refusal(&self, caller: &Caller, purpose: &Purpose, error: &Error) {
        if matches!(error, Error::AuditFailed(_)) {
            return;
        }
        let outcome = if error.is_refusal() { Outcome::Refused } else { Outcome::Failed };
        let entry = self.entry(caller, purpose, None, outcome, Some(error.name().to_owned()));
        if self.disk.record(entry).await.is_err() {
            tracing::warn!("the audit log cannot be written");
        }
    }

    fn entry(
        &self,
        caller: &Caller,
        purpose: &Purpose,
        token: Option<&str>,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Entry {
        Entry {
            time: self.clock.now(),
            event: purpose.event.to_owned(),
            outcome,
            reason,
            uid: caller.uid,
            pid: caller.pid,
            says_it_is: caller.says_it_is.clone(),
            what: Some(purpose.act.clone()),
            token: token.map(ToOwned::to_owned),
        }
    }
}
