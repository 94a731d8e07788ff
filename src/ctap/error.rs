//! Everything that can go wrong between us and a token.

use crate::channel::ChannelError;

/// Why a command to a token failed. Holds no text from the token and no secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum CtapError {
    /// The wire failed, or patience ended.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The token understood and refused (CTAP 2.1 section 8.2).
    #[error(transparent)]
    Status(#[from] Status),
    /// Another program is in the middle of a command with this token.
    #[error("another program is using the token")]
    Busy,
    /// The token refused our framing (CTAP 2.1 section 11.2.9.1.6).
    #[error("the token refused the message (CTAPHID error {0:#04x})")]
    Hid(u8),
    /// The token broke the protocol.
    #[error("the token's answer makes no sense: {0}")]
    Malformed(&'static str),
    /// The token cannot do what is needed.
    #[error("the token does not support {0}")]
    Unsupported(&'static str),
    /// The PIN can be no token's PIN; it was not sent and cost no try.
    #[error("a PIN has at least 4 characters and at most 63 bytes of UTF-8")]
    NotAPin,
    /// The token verified its user although it was not asked to, or did not although it was:
    /// `hmac-secret` answers differently in the two cases.
    #[error("the token verified its user otherwise than it was asked to")]
    UvMismatch,
    /// The answer was not signed by the credential that was asked.
    #[error("the token's answer is not signed by the credential")]
    Signature,
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
}

/// A status code that a token answers instead of a result. Names as in CTAP 2.1 section 8.2.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum Status {
    /// `CTAP2_ERR_CREDENTIAL_EXCLUDED`
    #[error("the token already holds one of the excluded credentials")]
    CredentialExcluded,
    /// `CTAP2_ERR_INVALID_CREDENTIAL`
    #[error("the token does not know the credential")]
    InvalidCredential,
    /// `CTAP2_ERR_UNSUPPORTED_ALGORITHM`
    #[error("the token does not support the algorithm")]
    UnsupportedAlgorithm,
    /// `CTAP2_ERR_OPERATION_DENIED`
    #[error("the operation was refused on the token")]
    OperationDenied,
    /// `CTAP2_ERR_UNSUPPORTED_OPTION`
    #[error("the token does not support an option of the request")]
    UnsupportedOption,
    /// `CTAP2_ERR_INVALID_OPTION`
    #[error("the token refused an option of the request")]
    InvalidOption,
    /// `CTAP2_ERR_KEEPALIVE_CANCEL`
    #[error("the operation was cancelled")]
    KeepaliveCancel,
    /// `CTAP2_ERR_NO_CREDENTIALS`
    #[error("the token does not hold the credential")]
    NoCredentials,
    /// `CTAP2_ERR_USER_ACTION_TIMEOUT` or `CTAP2_ERR_ACTION_TIMEOUT`
    #[error("the token was not touched in time")]
    TouchTimeout,
    /// `CTAP2_ERR_NOT_ALLOWED`
    #[error("the token does not allow this now")]
    NotAllowed,
    /// `CTAP2_ERR_PIN_INVALID`: one try is spent.
    #[error("wrong PIN")]
    PinInvalid,
    /// `CTAP2_ERR_PIN_BLOCKED`: only a reset of the token helps, which destroys its credentials.
    #[error("the PIN is blocked")]
    PinBlocked,
    /// `CTAP2_ERR_PIN_AUTH_INVALID`: the token does not accept the PIN/UV token (any more).
    #[error("the token did not accept the proof of the PIN")]
    PinAuthInvalid,
    /// `CTAP2_ERR_PIN_AUTH_BLOCKED`: three wrong PINs in a row; the tries that are left come back with power.
    #[error("too many wrong PINs in a row: unplug the token and plug it in again")]
    PinAuthBlocked,
    /// `CTAP2_ERR_PIN_NOT_SET`
    #[error("the token has no PIN")]
    PinNotSet,
    /// `CTAP2_ERR_PUAT_REQUIRED` (CTAP 2.0: `CTAP2_ERR_PIN_REQUIRED`)
    #[error("the token wants its PIN")]
    PinRequired,
    /// `CTAP2_ERR_PIN_POLICY_VIOLATION`: above all, the PIN must be changed before its first use.
    #[error("the token wants its PIN changed first")]
    PinPolicy,
    /// `CTAP2_ERR_UP_REQUIRED`
    #[error("the token wants to be touched")]
    UpRequired,
    /// `CTAP2_ERR_UV_BLOCKED`
    #[error("the token's own user verification is blocked")]
    UvBlocked,
    /// `CTAP2_ERR_UNAUTHORIZED_PERMISSION`
    #[error("the token does not grant the permission")]
    UnauthorizedPermission,
    /// Any other code, as the token sent it.
    #[error("the token refused (CTAP error {0:#04x})")]
    Other(u8),
}

impl Status {
    /// The status of a code that is not `CTAP2_OK`.
    pub(super) fn of(code: u8) -> CtapError {
        CtapError::Status(match code {
            // CTAP1_ERR_CHANNEL_BUSY
            0x06 => return CtapError::Busy,
            0x19 => Self::CredentialExcluded,
            0x22 => Self::InvalidCredential,
            0x26 => Self::UnsupportedAlgorithm,
            0x27 => Self::OperationDenied,
            0x2b => Self::UnsupportedOption,
            0x2c => Self::InvalidOption,
            0x2d => Self::KeepaliveCancel,
            0x2e => Self::NoCredentials,
            0x2f | 0x3a => Self::TouchTimeout,
            0x30 => Self::NotAllowed,
            0x31 => Self::PinInvalid,
            0x32 => Self::PinBlocked,
            0x33 => Self::PinAuthInvalid,
            0x34 => Self::PinAuthBlocked,
            0x35 => Self::PinNotSet,
            0x36 => Self::PinRequired,
            0x37 => Self::PinPolicy,
            0x3b => Self::UpRequired,
            0x3c => Self::UvBlocked,
            0x40 => Self::UnauthorizedPermission,
            other => Self::Other(other),
        })
    }
}
