//! What can go wrong, in one sentence each, and the exit code that goes with it.

use crate::cli::https::HttpsError;
use crate::cli::refusal::Refusal;
use crate::dbus::names::ERROR_PREFIX;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The command line, the environment or a configuration file asks for something impossible.
    #[error("{0}")]
    Usage(String),
    #[error(
        "cannot reach rootseald {place} ({why}): start rootseald, or name its address with --address or ROOTSEAL_ADDRESS"
    )]
    Unreachable { place: String, why: String },
    #[error(
        "the server {place} runs as uid {theirs}, not as you (uid {ours}): name your own daemon's address with --address"
    )]
    Stranger { place: String, theirs: u32, ours: u32 },
    #[error("rootseald went away in the middle of the command ({0}): look at its log and start it again")]
    Gone(String),
    /// What the daemon says.
    #[error("{message}")]
    Daemon { name: String, message: String },
    #[error("the bus does not let you talk to rootseald: ask its administrator for access")]
    BusDenied,
    #[error(
        "rootseald answered in a way this rootseal does not understand ({0}): install the same version of both"
    )]
    Protocol(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[error("cannot read {} ({}): name the right file", path.display(), plain_reason(.source))]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {} ({}): name a file that is not there yet, in a folder that you may write to", path.display(), plain_reason(.source))]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the audit log is bad from record {record} on: {problem}; keep its files as evidence")]
    BadLog { record: u64, problem: String },
    #[error("cannot write to standard output: {0}")]
    Stdout(#[source] std::io::Error),
    #[error("the system refused {doing}: {source}")]
    System {
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Missing(String),
    #[error("what is bad: {0}; do what stands beside it")]
    Unwell(String),
    #[error("the drill is not complete: the report says what is missing")]
    DrillIncomplete,
}

/// The system's words without its number.
fn plain_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_lowercase()
}

impl Error {
    /// There is none, or one with that `problem`.
    pub(super) fn no_vault(problem: &str) -> Self {
        let why = if problem.is_empty() { "there is no vault yet: run `rootseal init`" } else { problem };
        Self::Missing(why.to_owned())
    }

    /// Wraps a failed system call.
    pub(super) fn system(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { doing, source: errno.into() }
    }

    /// Design section 5: 1 failed, 2 usage, 3 unreachable, 4 prompt, 5 token, 6 not authorised, 7 damaged.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unreachable { .. } | Self::Stranger { .. } | Self::Gone(_) => 3,
            Self::Daemon { name, .. } => daemon_code(name),
            Self::BusDenied => 6,
            Self::Refused(_) => 4,
            Self::Protocol(_)
            | Self::Https(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::BadLog { .. }
            | Self::Stdout(_)
            | Self::System { .. }
            | Self::DrillIncomplete
            | Self::Unwell(_)
            | Self::Missing(_) => 1,
        }
    }

    /// Whether the daemon may only be passing on what our own agent refused.
    pub(super) fn may_be_ours(&self) -> bool {
        let failed = matches!(self, Self::Daemon { name, .. } if name.ends_with(".Failed"));
        failed || self.code() == 4
    }

    /// Whether what was asked for may have been done all the same.
    pub(super) fn leaves_unsure(&self) -> bool {
        let failed =
            matches!(self, Self::Daemon { name, .. } if name.strip_prefix(ERROR_PREFIX) == Some("Failed"));
        failed || matches!(self, Self::Gone(_) | Self::Protocol(_))
    }

    /// Whether the daemon needed to ask and was not let.
    pub(super) fn is_no_prompt(&self) -> bool {
        matches!(self, Self::Daemon { name, .. } if name.strip_prefix(ERROR_PREFIX) == Some("NoPrompt"))
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// The table at the end of `docs/dbus-api.md`.
pub(super) fn daemon_code(name: &str) -> u8 {
    match name.strip_prefix(ERROR_PREFIX).unwrap_or_default() {
        "InvalidArgument" | "TokenChoice" => 2,
        "Locked" | "PinInvalid" | "Cancelled" | "TimedOut" | "NoPrompt" => 4,
        "NoToken" | "WrongToken" | "PinBlocked" => 5,
        "NotAuthorized" => 6,
        "Damaged" | "Rollback" | "UnsupportedFormat" => 7,
        _ => 1,
    }
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Self {
        use zbus::fdo;
        if let zbus::Error::MethodError(name, message, _) = &error {
            let message = match message {
                Some(message) if !message.is_empty() => message.clone(),
                Some(_) | None => format!("rootseald answered {}", name.as_str()),
            };
            return Self::Daemon { name: name.to_string(), message };
        }
        if let zbus::Error::InputOutput(io) = &error {
            return Self::Gone(io.to_string());
        }
        let zbus::Error::FDO(standard) = &error else { return Self::Protocol(error.to_string()) };
        if matches!(
            **standard,
            fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) | fdo::Error::SpawnChildExited(_)
        ) {
            return Self::Unreachable {
                place: "on this bus".to_owned(),
                why: "no such service on the bus".to_owned(),
            };
        }
        if matches!(**standard, fdo::Error::NoReply(_) | fdo::Error::Disconnected(_)) {
            return Self::Gone("no reply".to_owned());
        }
        if matches!(**standard, fdo::Error::AccessDenied(_) | fdo::Error::AuthFailed(_)) {
            return Self::BusDenied;
        }
        Self::Protocol(standard.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the table in the documentation, so that the two cannot drift apart.
    #[test]
    fn every_error_of_the_api_has_its_exit_code() {
        let documentation = include_str!("../../docs/dbus-api.md");
        let table = documentation.split("## Errors").nth(1).unwrap();
        let mut seen = 0;
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            let mut columns = row.split('|').skip(1);
            let names = columns.next().unwrap();
            let code: u8 = columns.next().unwrap().trim().parse().unwrap();
            for name in names.split(',').map(|name| name.trim().trim_matches('`')) {
                assert_eq!(daemon_code(&format!("{ERROR_PREFIX}{name}")), code, "{name}");
                seen += 1;
            }
        }
        assert!(seen >= 20, "the table was read: {seen}");
    }

    #[test]
    fn a_foreign_error_is_a_plain_failure() {
        assert_eq!(daemon_code("org.example.Error.Locked"), 1);
    }
}
