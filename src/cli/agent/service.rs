//! `org.rootseal.Agent1`, for the daemon alone.

use super::Shared;
use crate::cli::refusal::Refusal;
use crate::dbus::proxy::{PinRequest, TouchRequest};
use std::sync::Arc;
use zbus::message::Header;

/// How a refusal looks to the daemon: for want of a way to ask, it asks another agent.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.rootseal.Error")]
pub(super) enum AgentError {
    #[zbus(error)]
    Bus(zbus::Error),
    Cancelled(String),
    NoPrompt(String),
    NotAuthorized(String),
}

pub(super) struct Service(pub(super) Arc<Shared>);

impl Service {
    fn admit(&self, header: &Header<'_>) -> Result<(), AgentError> {
        if self.0.is_daemon(header) {
            return Ok(());
        }
        Err(AgentError::NotAuthorized("this agent serves rootseald alone".to_owned()))
    }

    fn refuse(&self, refusal: Refusal) -> AgentError {
        let text = refusal.to_string();
        let error = match refusal {
            Refusal::NoTerminal { .. }
            | Refusal::NoTerminalForPassword { .. }
            | Refusal::NoTerminalForNew
            | Refusal::NoTerminalForCode
            | Refusal::Terminal(_)
            | Refusal::Pinentry(_)
            | Refusal::Notification(_)
            | Refusal::NoSurface
            | Refusal::NoPrompt => AgentError::NoPrompt(text),
            Refusal::PinFileOpen { .. }
            | Refusal::PinFileUnreadable { .. }
            | Refusal::PinFileEmpty { .. }
            | Refusal::PinWrong { .. }
            | Refusal::PasswordWrong { .. }
            | Refusal::LastTry { .. }
            | Refusal::OtherToken { .. }
            | Refusal::Refused
            | Refusal::Cancelled => AgentError::Cancelled(text),
            // Not to be remembered: the daemon knows better what is wrong.
            Refusal::CodeWrong { .. } => return AgentError::Cancelled(text),
        };
        self.0.remember(refusal);
        error
    }
}

#[zbus::interface(name = "org.rootseal.Agent1", introspection_docs = false)]
impl Service {
    async fn request_pin(
        &self,
        request: PinRequest,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<zbus::OwnedFd, AgentError> {
        self.admit(&header)?;
        self.0.pin(&request).await.map_err(|refusal| self.refuse(refusal))
    }

    async fn request_touch(
        &self,
        request: TouchRequest,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), AgentError> {
        self.admit(&header)?;
        self.0.touch(&request).await.map_err(|refusal| self.refuse(refusal))
    }

    async fn done(&self, prompt: u64, #[zbus(header)] header: Header<'_>) -> Result<(), AgentError> {
        self.admit(&header)?;
        self.0.clear(prompt).await;
        Ok(())
    }
}
