//! What is wrong with the vault file, in words, for as long as it is.

use super::error::{Error, Hints};
use crate::vault::VaultError;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Damaged,
    Rollback,
    Unsupported,
}

/// A vault that cannot be used.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    kind: Kind,
    text: String,
}

impl Problem {
    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else that a file can be is damage")]
    pub(super) fn new(error: &VaultError, path: &Path) -> Self {
        let path = path.display();
        match error {
            VaultError::Rollback(reversal) => Self {
                kind: Kind::Rollback,
                text: format!(
                    "{path} is not the vault that this machine saw last: {reversal}; put the newest copy back"
                ),
            },
            VaultError::NewerFormat(version) => Self {
                kind: Kind::Unsupported,
                text: format!("{path} has format {version}, which this version does not know"),
            },
            VaultError::Damaged(part) | VaultError::TooLarge(part) => {
                Self { kind: Kind::Damaged, text: format!("{path} is damaged ({part})") }
            }
            other => Self { kind: Kind::Damaged, text: format!("{path} is damaged ({other})") },
        }
    }

    /// A vault that was there before.
    pub(super) fn gone(path: &Path) -> Self {
        let state = path.with_file_name("state.cbor");
        Self {
            kind: Kind::Damaged,
            text: format!(
                "{} is gone (put it back; to begin anew, remove {}, too)",
                path.display(),
                state.display()
            ),
        }
    }

    /// A file that cannot even be opened.
    pub(super) fn unreadable(error: &Error) -> Self {
        Self { kind: Kind::Damaged, text: error.to_string() }
    }

    /// A file beside the vault that cannot be read.
    pub(super) fn of_file(path: &Path) -> Self {
        Self {
            kind: Kind::Damaged,
            text: format!(
                "{0} is damaged, or of a newer version (it tells a vault that was put back, and codes that were given \
                 out; to go on without, move {0} away)",
                path.display()
            ),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn error(&self) -> Error {
        let text = self.text.clone();
        match self.kind {
            Kind::Damaged => Error::Damaged(text),
            Kind::Rollback => Error::Rollback(text),
            Kind::Unsupported => Error::UnsupportedFormat(text),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "everything else is about the file")]
/// An error of the vault room, met while a vault that could be read was worked with.
pub(super) fn vault_error(error: &VaultError, path: &Path) -> Error {
    match error {
        VaultError::WrongToken | VaultError::NoSuchLock => {
            Error::WrongToken("a token that opens this vault".to_owned(), Hints::default())
        }
        VaultError::NotFound => Error::NotFound("such entry".to_owned()),
        VaultError::Exists => Error::Exists("an entry of that name".to_owned()),
        VaultError::Invalid(field) => Error::Invalid(format!("the {field} is not valid")),
        VaultError::GuardNeeded => Error::Failed("this change needs the guard lock"),
        VaultError::Outdated => Error::Failed("the vault changed in the meantime: try again"),
        VaultError::Crypto(_) => Error::Failed("cryptography failed"),
        other => Problem::new(other, path).error(),
    }
}
