//! What a user can act on. One variant, one way out; the bus and the command line map them to names and codes.

use super::recovery;
use crate::audit::AuditError;
use crate::store::StoreError;
use crate::token::TokenError;
use crate::token::recovery::Misread;
use crate::token::trouble::{Reason, Trouble};
use crate::vault::Header;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing has been set up yet.
    #[error("there is no vault yet: run `rootseal init`")]
    NoVault,
    /// The index is needed and closed.
    #[error("the vault is locked: run `rootseal unlock`")]
    Locked,
    /// Nothing is plugged in that could help.
    #[error("no security token is connected: plug one in{0}")]
    NoToken(Hints),
    /// The one that was named is not.
    #[error("no token {0} is connected: `rootseal token list` names those that are")]
    TokenNamed(String),
    /// What is plugged in is no keyslot of this vault.
    #[error("no connected token is a keyslot of this vault: plug in {0}{1}")]
    WrongToken(String, Hints),
    /// A seed is on tokens, and none of them is plugged in.
    #[error("no connected token holds this seed: plug in {0}")]
    SeedElsewhere(String),
    /// Another token was put into its place.
    #[error("another token is where the one was that this began with: try again with that one")]
    TokenSwapped,
    /// There is no room on it.
    #[error("the token has no room for another OATH account: `rootseal oath remove` takes one away")]
    TokenFull,
    /// The password of a token's OATH accounts is another one.
    #[error("wrong password of the token's OATH accounts")]
    PasswordInvalid,
    /// It failed, and what had been put on tokens before could not be taken away again.
    #[error("{cause}; the seed may still be on {left}: remove {name} there with `rootseal oath remove`")]
    LeftBehind {
        /// Why it failed.
        #[source]
        cause: Box<Error>,
        /// The tokens.
        left: String,
        /// What the seed is called there.
        name: String,
    },
    /// What is plugged in opens the index alone.
    #[error("{0} has no PIN and opens none of what is guarded: plug in {1}{2}")]
    WeakToken(String, String, Hints),
    /// All that is plugged in opens this vault already.
    #[error("every connected token is a keyslot of this vault already: plug in the one to be added")]
    NoFurtherToken,
    /// Several fit.
    #[error("several tokens fit, name those to use with --token ID[,ID]: {0}")]
    TokenChoice(String),
    /// One alone cannot do it.
    #[error(
        "{0} holders must consent, each with a token: name as many, with commas between their ids, or none"
    )]
    TooFewNamed(usize),
    /// The others have no token.
    #[error(
        "{0} of {1} have consented, and nobody else has a token: give the recovery code, too, with --recovery-code-file"
    )]
    RecoveryNeeded(usize, usize),
    /// Nothing of the kind opens this vault.
    #[error("this vault has no recovery code")]
    NoRecoveryCode,
    /// What was given is not one.
    #[error("{0}")]
    RecoveryMisread(#[source] Misread),
    /// What was given is one of something else.
    #[error("this recovery code opens nothing here: it is another vault's, or its keyslot was removed")]
    RecoveryWrong,
    /// Several could consent.
    #[error("several connected tokens open this vault, name the one that consents with --with: {0}")]
    ConsentChoice(String),
    /// A wrong PIN.
    #[error("wrong PIN, {0} left before the token blocks")]
    PinInvalid(Tries),
    /// The token takes no PIN any more.
    #[error(
        "the token's PIN is blocked: use another keyslot's token; a reset would destroy this one's keyslot"
    )]
    PinBlocked,
    /// Three wrong PINs in a row.
    #[error("too many wrong PINs in a row: unplug the token, plug it in again and retry")]
    PowerCycle,
    /// A person said no, or the caller went away.
    #[error("the request was refused or given up")]
    Cancelled,
    /// Nobody touched the token, or it did not answer.
    #[error("the token was not touched in time: try again and touch it when it blinks")]
    TimedOut,
    /// Nothing is opened now.
    #[error("the machine is about to sleep or stop: try again when it is awake")]
    GoingToSleep,
    /// Nobody answered a question.
    #[error("nobody answered the prompt in time: try again")]
    Unanswered,
    /// The next holder's token was not plugged in.
    #[error("too few holders consented in time, nothing was opened: {0}")]
    NoQuorum(String),
    /// Nobody would have seen why the token blinks.
    #[error(
        "there is no terminal, pinentry or agent to show the prompt on: run `rootseal agent` in a terminal first"
    )]
    NoPrompt,
    /// Somebody else's.
    #[error("this belongs to another caller")]
    NotAuthorized,
    /// The file cannot be believed.
    #[error("{0}: nothing was changed; restore a backup")]
    Damaged(String),
    /// The file is older than, or different from, what this machine saw last.
    #[error("{0}")]
    Rollback(String),
    /// The file was written by a newer version.
    #[error("{0}: install a newer rootseal")]
    UnsupportedFormat(String),
    /// There is nothing of that name.
    #[error("there is no {0}")]
    NotFound(String),
    /// There is one already.
    #[error("there is already {0}")]
    Exists(String),
    /// Something else still needs it.
    #[error("{0}")]
    InUse(String),
    /// The request makes no sense as it is.
    #[error("{0}")]
    Invalid(String),
    /// The policy wants one.
    #[error("the policy demands a reason: say why with --reason TEXT")]
    ReasonNeeded,
    /// The policy leaves it to others.
    #[error("the policy does not let uid {0} {1}: `rootseal policy show` says whom it does")]
    NotForUid(u32, &'static str),
    /// The policy wants it at another time.
    #[error("the policy lets sessions and codes be had only {0} (UTC)")]
    OutOfHours(String),
    /// No record, no secret.
    #[error("{0}; no secret was released")]
    AuditFailed(#[source] AuditError),
    /// The same is going on already.
    #[error(
        "the token is busy with another program, or answers no more: try again, or unplug it and plug it in again"
    )]
    Busy,
    /// The wall clock cannot be right.
    #[error("the clock is {0} s behind the last code that was given out: set the clock right and try again")]
    ClockJumped(u64),
    /// The wall clock cannot be believed, and nobody is asked for a touch that would confirm it.
    #[error(
        "the clock jumped by {0} s, which this token's touch is not asked to confirm: set it right, or lock and unlock the vault"
    )]
    ClockUnconfirmed(i64),
    /// The wall clock jumped between prompt and touch.
    #[error("the clock jumped while the prompt was shown: try again")]
    ClockMoved,
    /// AWS said no.
    #[error("{0}")]
    AwsRefused(#[source] crate::aws::AwsError),
    /// AWS's answer could not be read.
    #[error("{0}")]
    AwsAnswer(#[source] crate::aws::Error),
    /// The token cannot be used as it was asked to be.
    #[error("{0}")]
    Unsuitable(#[source] TokenError),
    /// The token did something else.
    #[error("the token failed: {0}")]
    Token(#[source] TokenError),
    /// The disk refused.
    #[error("{}: {}", .0.display(), in_full(.1))]
    Store(std::path::PathBuf, #[source] StoreError),
    /// Nothing a user can mend.
    #[error("{0}")]
    Failed(&'static str),
}

impl Error {
    /// Its name in the API, and in the audit log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoVault => "NoVault",
            Self::Locked | Self::GoingToSleep => "Locked",
            Self::NoToken(_) | Self::TokenNamed(_) | Self::NoFurtherToken | Self::TokenSwapped => "NoToken",
            Self::WrongToken(..)
            | Self::WeakToken(..)
            | Self::SeedElsewhere(_)
            | Self::NoRecoveryCode
            | Self::RecoveryNeeded(..) => "WrongToken",
            Self::TokenChoice(_) | Self::ConsentChoice(_) => "TokenChoice",
            Self::PinInvalid(_) | Self::PasswordInvalid | Self::RecoveryMisread(_) | Self::RecoveryWrong => {
                "PinInvalid"
            }
            Self::LeftBehind { cause, .. } => cause.name(),
            Self::PinBlocked | Self::PowerCycle => "PinBlocked",
            Self::Cancelled => "Cancelled",
            Self::TimedOut | Self::Unanswered | Self::NoQuorum(_) => "TimedOut",
            Self::NoPrompt => "NoPrompt",
            Self::NotAuthorized | Self::NotForUid(..) | Self::OutOfHours(_) => "NotAuthorized",
            Self::Damaged(_) => "Damaged",
            Self::Rollback(_) => "Rollback",
            Self::UnsupportedFormat(_) => "UnsupportedFormat",
            Self::NotFound(_) => "NotFound",
            Self::Exists(_) => "Exists",
            Self::InUse(_) => "InUse",
            Self::Invalid(_) | Self::TooFewNamed(_) | Self::ReasonNeeded => "InvalidArgument",
            Self::AuditFailed(_) => "AuditFailed",
            Self::Busy => "Busy",
            Self::ClockJumped(_) | Self::ClockMoved | Self::ClockUnconfirmed(_) => "ClockJumped",
            Self::AwsRefused(_) => "AwsRefused",
            Self::AwsAnswer(_)
            | Self::Unsuitable(_)
            | Self::Token(_)
            | Self::TokenFull
            | Self::Store(..)
            | Self::Failed(_) => "Failed",
        }
    }

    /// Whether somebody or something said no, rather than something having gone wrong.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Locked
                | Self::GoingToSleep
                | Self::PinInvalid(_)
                | Self::PasswordInvalid
                | Self::RecoveryMisread(_)
                | Self::RecoveryWrong
                | Self::RecoveryNeeded(..)
                | Self::PinBlocked
                | Self::PowerCycle
                | Self::Cancelled
                | Self::TimedOut
                | Self::Unanswered
                | Self::NoQuorum(_)
                | Self::NoPrompt
                | Self::ReasonNeeded
                | Self::NotAuthorized
                | Self::NotForUid(..)
                | Self::OutOfHours(_)
                | Self::WrongToken(..)
                | Self::SeedElsewhere(_)
                | Self::WeakToken(..)
                | Self::ClockJumped(_)
                | Self::ClockMoved
                | Self::ClockUnconfirmed(_)
                | Self::AwsRefused(_)
        )
    }
}

/// What may be why the right token is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    troubles: Vec<Trouble>,
    /// A recovery code would do.
    code: bool,
}

impl Hints {
    /// From what was found beside the tokens that answer.
    pub(super) fn of(mut troubles: Vec<Trouble>) -> Self {
        troubles.retain(|trouble| trouble.reason != Reason::NonePluggedIn);
        Self { troubles, code: false }
    }

    /// With the way that a recovery code leaves open.
    pub(super) fn or_code(self, header: &Header) -> Self {
        Self { code: recovery::codes(header).next().is_some(), ..self }
    }

    /// Without what says of cards that none are seen.
    pub(super) fn without_cards(mut self) -> Self {
        self.troubles.retain(|trouble| !trouble.reason.is_of_pcscd());
        self
    }
}

impl std::fmt::Display for Hints {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.code {
            formatter.write_str(", or give the recovery code (--recovery-code-file F)")?;
        }
        for (before, trouble) in std::iter::once(" (").chain(std::iter::repeat("; ")).zip(&self.troubles) {
            write!(formatter, "{before}{trouble}")?;
        }
        formatter.write_str(if self.troubles.is_empty() { "" } else { ")" })
    }
}

/// So many tries, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries(pub u32);

impl std::fmt::Display for Tries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => formatter.write_str("1 try"),
            tries => write!(formatter, "{tries} tries"),
        }
    }
}

/// An error with its causes, in one sentence.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<TokenError> for Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is left has no way out of its own")]
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Gone => Self::NoToken(Hints::default()),
            TokenError::TimedOut => Self::TimedOut,
            TokenError::Cancelled => Self::Cancelled,
            TokenError::Busy => Self::Busy,
            TokenError::PinBlocked => Self::PinBlocked,
            TokenError::PowerCycle => Self::PowerCycle,
            TokenError::NotAPin | TokenError::NotACardsPin | TokenError::NoSuchChoice(_) => {
                Self::Invalid(error.to_string())
            }
            TokenError::Another => Self::TokenSwapped,
            TokenError::PasswordInvalid => Self::PasswordInvalid,
            TokenError::NoAccount => Self::NotFound("such OATH account on the token".to_owned()),
            TokenError::AccountTaken => Self::Exists("an OATH account of this name on the token".to_owned()),
            TokenError::Full => Self::TokenFull,
            TokenError::NoChoice
            | TokenError::NoKey(_)
            | TokenError::Unprotected
            | TokenError::ForeignCertificate
            | TokenError::UnsuitableCard(_) => Self::Unsuitable(error),
            _ => Self::Token(error),
        }
    }
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        Self::AuditFailed(error)
    }
}

impl From<crate::aws::Error> for Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all the rest is about what the user gave")]
    fn from(error: crate::aws::Error) -> Self {
        use crate::aws::Error as Aws;
        match error {
            Aws::Refused(refusal) => Self::AwsRefused(refusal),
            Aws::Status(_) | Aws::ReplyForm(_) | Aws::ReplyLacks(_) | Aws::ReplyTooLarge => {
                Self::AwsAnswer(error)
            }
            _ => Self::Invalid(error.to_string()),
        }
    }
}

impl From<crate::otp::OtpError> for Error {
    fn from(error: crate::otp::OtpError) -> Self {
        Self::Invalid(error.to_string())
    }
}
