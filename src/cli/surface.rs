//! Where the user can be asked, and told why a token blinks.

use crate::cli::console::Console;
use crate::cli::notifications::Notifications;
use crate::cli::output;
use crate::cli::pinentry::Pinentry;
use crate::cli::prompt::{Kind, Prompt};
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refuser;
use crate::cli::terminal::Terminal;
use crate::secret::Pin;
use tokio::sync::Notify;

pub(super) enum Surface {
    /// The terminal of one command.
    Terminal(Terminal, Notify),
    /// The terminal of `rootseal agent`.
    Console(Console),
    Pinentry(Pinentry),
    Notifications(Notifications),
    /// Standard error, where somebody is known to read it.
    Stderr,
}

impl Surface {
    /// The terminal; without one a pinentry, else notifications, which can only tell; and standard error if
    /// `stderr_is_read`. If there is none of them, nothing may be asked.
    pub(super) async fn find(stderr_is_read: bool, refuser: &Refuser) -> Vec<Self> {
        if let Some(terminal) = Terminal::open() {
            return vec![Self::Terminal(terminal, Notify::new())];
        }
        let mut found = Vec::new();
        if let Some(pinentry) = Pinentry::find(refuser) {
            found.push(Self::Pinentry(pinentry));
        } else if !stderr_is_read && let Some(notifications) = Notifications::find(refuser).await {
            found.push(Self::Notifications(notifications));
        }
        if stderr_is_read {
            found.push(Self::Stderr);
        }
        found
    }

    pub(super) const fn can_ask(&self) -> bool {
        matches!(self, Self::Terminal(..) | Self::Console(_) | Self::Pinentry(_))
    }

    /// Shows a prompt that is answered elsewhere: returns when it can be read.
    pub(super) async fn show(&self, prompt: &Prompt) -> Result<(), Refusal> {
        match self {
            Self::Terminal(terminal, _) => terminal.show(&prompt.text),
            Self::Console(console) => console.show(prompt),
            // A window would have to be dismissed for what needs nobody.
            Self::Pinentry(_) if prompt.kind != Kind::Touch => {}
            Self::Pinentry(pinentry) => pinentry.show(prompt).await?,
            Self::Notifications(notifications) => notifications.show(prompt).await?,
            Self::Stderr => output::note(&prompt.text),
        }
        Ok(())
    }

    /// Has a PIN or a password typed; `None`: it cannot be typed here.
    pub(super) async fn ask(&self, prompt: &Prompt) -> Option<Result<Pin, Refusal>> {
        Some(match self {
            Self::Terminal(terminal, over) => {
                let question = prompt.question();
                let typed = tokio::select! {
                    typed = terminal.ask(&question) => typed,
                    // The daemon takes its question back: the time is over, or the token is gone.
                    () = over.notified() => return Some(Err(Refusal::Cancelled)),
                };
                terminal.clear();
                typed
            }
            Self::Console(console) => console.ask(prompt).await,
            Self::Pinentry(pinentry) => pinentry.ask(prompt).await,
            Self::Notifications(_) | Self::Stderr => return None,
        })
    }

    /// Takes a prompt away.
    pub(super) async fn clear(&self, number: u64) {
        match self {
            // One command has one prompt at a time.
            Self::Terminal(terminal, over) => {
                over.notify_waiters();
                terminal.clear();
            }
            Self::Console(console) => console.clear(number),
            Self::Pinentry(pinentry) => pinentry.clear(number).await,
            Self::Notifications(notifications) => notifications.clear(number).await,
            Self::Stderr => {}
        }
    }

    /// Takes away whatever is still there.
    pub(super) async fn close(&self) {
        match self {
            Self::Terminal(terminal, _) => terminal.clear(),
            Self::Console(console) => console.close(),
            Self::Pinentry(pinentry) => pinentry.close().await,
            Self::Notifications(notifications) => notifications.close().await,
            Self::Stderr => {}
        }
    }
}
