//! What goes wrong with a token, as far as somebody can act on it.

use crate::channel::ChannelError;
use crate::ctap::{CtapError, Status};
use crate::piv::PivError;

/// Why a token did not do what it was asked.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It was unplugged, or its process ended.
    #[error("the token was removed")]
    Gone,
    /// This user may not open it.
    #[error("this user may not open the token: `rootseal token list` says what gives the right")]
    Denied,
    /// It was not touched, or did not answer, before the deadline.
    #[error("the token was not touched in time")]
    TimedOut,
    /// The caller gave up, or the token's user refused on the token.
    #[error("cancelled")]
    Cancelled,
    /// Another program holds it.
    #[error("another program is using the token")]
    Busy,
    /// A wrong PIN; a try is spent.
    #[error("wrong PIN")]
    PinInvalid,
    /// One more wrong PIN would block it, which nobody was told; the PIN was not sent.
    #[error("only one PIN try is left")]
    LastTry,
    /// Only a reset, which destroys its credentials, would make the token usable again.
    #[error("the token's PIN is blocked")]
    PinBlocked,
    /// Three wrong PINs in a row.
    #[error("too many wrong PINs in a row: unplug the token and plug it in again")]
    PowerCycle,
    /// It has a PIN and none was verified.
    #[error("the token wants its PIN")]
    PinRequired,
    /// The PIN can be no PIN of this token; it was not sent.
    #[error("a PIN has at least 4 characters and at most 63 bytes")]
    NotAPin,
    /// As [`Self::NotAPin`], of a smart card.
    #[error("a card's PIN has 4 to 8 characters")]
    NotACardsPin,
    /// The keyslot is another token's.
    #[error("the token does not hold this keyslot's credential")]
    NotEnrolled,
    /// The keyslot's binding cannot be read.
    #[error("the keyslot's binding is damaged")]
    Binding,
    /// Slot, algorithm and management key are chosen for PIV alone.
    #[error(
        "this kind of token leaves no such choice: leave --slot, --generate and --management-key-file out"
    )]
    NoChoice,
    /// There is no key to be used.
    #[error(
        "slot {0:02x} holds no key that can be seen: have one made with --generate, or name another with --slot"
    )]
    NoKey(u8),
    /// What it answers was not sealed to it.
    #[error(
        "the key in the slot is not the one in its certificate: put the right certificate there, or take another slot"
    )]
    ForeignCertificate,
    /// Whoever plugs the card in could use the key.
    #[error(
        "the key asks for neither PIN nor touch, so whoever has the card could use it: take another slot or another card"
    )]
    Unprotected,
    /// Another token is where this one was.
    #[error("another token is in its place")]
    Another,
    /// Its OATH accounts are protected by a password, and none was given.
    #[error("the token's OATH accounts are protected by a password")]
    PasswordNeeded,
    /// The password is not theirs.
    #[error("wrong password of the token's OATH accounts")]
    PasswordInvalid,
    /// It has no such OATH account.
    #[error("the token has no such OATH account")]
    NoAccount,
    /// It has an OATH account of that name.
    #[error("the token already has an OATH account of this name")]
    AccountTaken,
    /// There is no room for another account.
    #[error("the token is full")]
    Full,
    /// Everything else the token can answer.
    #[error("{0}")]
    Ctap(#[source] CtapError),
    /// What was chosen does not exist.
    #[error("{0}")]
    NoSuchChoice(&'static str),
    /// The card, or what it holds, does not fit what was asked for.
    #[error("{0}")]
    UnsuitableCard(#[source] PivError),
    /// Everything else a card can answer.
    #[error("{0}")]
    Card(#[source] PivError),
}

impl From<PivError> for TokenError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all that nobody can act on is said as it is")]
    fn from(error: PivError) -> Self {
        match error {
            PivError::Channel(error) => error.into(),
            PivError::PinWrong(_) => Self::PinInvalid,
            PivError::LastTry => Self::LastTry,
            PivError::PinBlocked => Self::PinBlocked,
            PivError::NotAPin => Self::NotACardsPin,
            PivError::NotVerified => Self::PinRequired,
            PivError::AccessKeyNeeded => Self::PasswordNeeded,
            PivError::AccessKeyWrong => Self::PasswordInvalid,
            PivError::NoAccount => Self::NoAccount,
            PivError::AccountTaken => Self::AccountTaken,
            PivError::Full => Self::Full,
            PivError::NoSuchChoice(choice) => Self::NoSuchChoice(choice),
            PivError::SlotTaken(_)
            | PivError::ForeignAlgorithm { .. }
            | PivError::Unsupported(_)
            | PivError::ManagementKeyWrong
            | PivError::Attestation(_) => Self::UnsuitableCard(error),
            other => Self::Card(other),
        }
    }
}

impl From<ChannelError> for TokenError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Io(std::io::ErrorKind::PermissionDenied) => Self::Denied,
            // A card that was reset is as good as one that was pulled and put back.
            ChannelError::Gone | ChannelError::Reset | ChannelError::Io(_) => Self::Gone,
            ChannelError::Busy => Self::Busy,
            ChannelError::TimedOut => Self::TimedOut,
            ChannelError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<CtapError> for TokenError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all that nobody can act on is said as it is")]
    fn from(error: CtapError) -> Self {
        match error {
            CtapError::Channel(error) => error.into(),
            CtapError::Busy => Self::Busy,
            CtapError::NotAPin => Self::NotAPin,
            CtapError::Signature => Self::NotEnrolled,
            CtapError::Status(status) => match status {
                Status::TouchTimeout => Self::TimedOut,
                Status::KeepaliveCancel | Status::OperationDenied => Self::Cancelled,
                Status::PinInvalid => Self::PinInvalid,
                Status::PinBlocked => Self::PinBlocked,
                Status::PinAuthBlocked => Self::PowerCycle,
                Status::PinRequired => Self::PinRequired,
                Status::NoCredentials | Status::InvalidCredential => Self::NotEnrolled,
                _ => Self::Ctap(error),
            },
            _ => Self::Ctap(error),
        }
    }
}
