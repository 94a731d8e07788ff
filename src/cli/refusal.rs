//! Why the command line itself did not answer the daemon's question for a PIN or a touch.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("others can read {path}: run chmod 600 {path} and try again", path = path.display())]
    PinFileOpen { path: PathBuf },
    #[error("cannot read {}: {why}", path.display())]
    PinFileUnreadable { path: PathBuf, why: String },
    #[error("there is no PIN in {}: write it there, on one line", path.display())]
    PinFileEmpty { path: PathBuf },
    #[error("the PIN in {} is wrong for {label}, which has {retries} tries left: correct the file and try again", path.display())]
    PinWrong { path: PathBuf, label: String, retries: u32 },
    #[error(
        "{label} has one try left before it blocks, and a PIN from a file is never used for the last one: leave --pin-file out and type the PIN on a terminal"
    )]
    LastTry { label: String },
    #[error(
        "the PIN of {label} is needed and there is neither a terminal nor a pinentry to ask with: use --pin-file {token}=PATH"
    )]
    NoTerminal { label: String, token: String },
    #[error(
        "the password of the OATH accounts on {label} is needed and there is neither a terminal nor a pinentry to ask with: use --pin-file {token}=PATH"
    )]
    NoTerminalForPassword { label: String, token: String },
    #[error(
        "the recovery code is needed and there is neither a terminal nor a pinentry to type it: use --recovery-code-file"
    )]
    NoTerminalForCode,
    #[error("the recovery code in {} is wrong", path.display())]
    CodeWrong { path: PathBuf },
    #[error("there is no terminal to type the new password on: use --new-password-file")]
    NoTerminalForNew,
    #[error("the password in {} is not that of the OATH accounts on {label}: correct the file and try again", path.display())]
    PasswordWrong { path: PathBuf, label: String },
    #[error(
        "rootseald asks for the token {asked}, and --token names {wanted}: plug that one in and unplug the other"
    )]
    OtherToken { asked: String, wanted: String },
    #[error("this needs a PIN or a touch, and --no-prompt forbids to ask: leave it out")]
    NoPrompt,
    #[error("cancelled at the PIN prompt")]
    Cancelled,
    #[error("refused at the prompt")]
    Refused,
    #[error("pinentry cannot ask ({0}): name one that can in PINENTRY_PROGRAM, or use a terminal")]
    Pinentry(String),
    #[error("the desktop shows no notification ({0}): start its notification service, or use a terminal")]
    Notification(String),
    #[error(
        "there is nowhere to show prompts: run this in a terminal, or where there is a screen and a pinentry"
    )]
    NoSurface,
    #[error("the terminal cannot be used to ask for a PIN ({0}): use --pin-file")]
    Terminal(String),
}

impl Refusal {
    /// Whether the question goes on to another agent, whose answer then counts.
    pub(super) const fn is_left_to_others(&self) -> bool {
        matches!(self, Self::NoTerminal { .. } | Self::NoTerminalForPassword { .. } | Self::NoTerminalForCode)
    }
}
