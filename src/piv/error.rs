//! Everything that can go wrong between us and a card.

use crate::channel::ChannelError;

/// Why a card did not do what it was asked. Holds no bytes from the card and no secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum PivError {
    /// The reader, the card or patience came to an end.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The card understood and refused.
    #[error(transparent)]
    Status(#[from] Status),
    /// The card has no such application.
    #[error("the card does not have the application {0}")]
    NoApplication(&'static str),
    /// The card broke the protocol.
    #[error("the card's answer makes no sense: {0}")]
    Malformed(&'static str),
    /// A public key or a shared secret of the card's is no point of its curve, or an RSA modulus is absurd.
    #[error("the card's key is not valid")]
    InvalidKey,
    /// The slot holds a key that we have no use for.
    #[error("the key in slot {slot:02x} has an algorithm that cannot be used (number {algorithm:#04x})")]
    ForeignAlgorithm {
        /// The slot.
        slot: u8,
        /// The card's number for it (SP 800-78 table 6-2 or Yubico's), 0 if only its certificate is known.
        algorithm: u8,
    },
    /// The slot already holds a key.
    #[error(
        "slot {0:02x} already holds a key or a certificate: use the key as it is, without --generate, or name an empty slot with --slot"
    )]
    SlotTaken(u8),
    /// The card cannot do what is needed.
    #[error("the card does not support {0}")]
    Unsupported(&'static str),
    /// What was chosen does not exist; no card was asked.
    #[error("{0}")]
    NoSuchChoice(&'static str),
    /// The PIN can be no card's PIN; it was not sent and cost no try.
    #[error("a card's PIN has 4 to 8 characters")]
    NotAPin,
    /// A wrong PIN; a try is spent.
    #[error("wrong PIN, {0} tries left")]
    PinWrong(u8),
    /// One more wrong PIN would block the card; the PIN was not sent.
    #[error("only one PIN try is left")]
    LastTry,
    /// Only the PUK, or a reset that destroys its keys, makes the card usable again.
    #[error("the PIN is blocked")]
    PinBlocked,
    /// The card's PIN was not verified, or the card was not touched in time: it does not tell these apart.
    #[error("the card wants its PIN, or was not touched in time")]
    NotVerified,
    /// The management key has another length than the card's algorithm, or is not the card's.
    #[error("wrong management key: give the card's own in a file with --management-key-file")]
    ManagementKeyWrong,
    /// The card did not prove that it knows the key that it asks for.
    #[error("the card does not know the key itself")]
    Impostor,
    /// A YubiKey's statement on a key contradicts itself, or what the card said before.
    #[error("the token's attestation of its key cannot be believed: {0}")]
    Attestation(&'static str),
    /// The OATH application wants its access key.
    #[error("the token's OATH accounts are protected by a password")]
    AccessKeyNeeded,
    /// The access key is not the token's.
    #[error("wrong password of the token's OATH accounts")]
    AccessKeyWrong,
    /// No OATH account of this name.
    #[error("the token has no such OATH account")]
    NoAccount,
    /// An OATH account of this name is there already.
    #[error("the token already has an OATH account of this name")]
    AccountTaken,
    /// No room on the card.
    #[error("the card is full")]
    Full,
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
}

/// What a card says in SW1 SW2 (ISO/IEC 7816-4 section 5.6, SP 800-73-4 part 2 table 6).
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum Status {
    /// `9000`
    #[error("done")]
    Success,
    /// `61xx`: more bytes wait.
    #[error("more of the answer waits")]
    MoreData(u8),
    /// `6Cxx`: ask again with this length.
    #[error("the card wants another length of answer")]
    WrongExpected(u8),
    /// `63Cx`: so many tries are left.
    #[error("verification failed")]
    TriesLeft(u8),
    /// `6700`
    #[error("the card refused the length of a command")]
    WrongLength,
    /// `6982`
    #[error("the card wants a PIN, a key or a touch first")]
    SecurityStatus,
    /// `6983`
    #[error("the card's PIN is blocked")]
    Blocked,
    /// `6984`; YKOATH: no such account.
    #[error("the card does not have the data that a command refers to")]
    ReferenceUnusable,
    /// `6985`
    #[error("the card's conditions for a command are not met")]
    Conditions,
    /// `6A80`
    #[error("the card refused the contents of a command")]
    WrongData,
    /// `6A81` or `6D00` or `6E00`
    #[error("the card does not know the command")]
    NotSupported,
    /// `6A82`
    #[error("the card does not have the object")]
    NotFound,
    /// `6A84`
    #[error("the card is full")]
    Full,
    /// `6A86`
    #[error("the card refused the parameters of a command")]
    WrongParameters,
    /// `6A88`
    #[error("the card does not have the key")]
    NoReference,
    /// Any other, as the card sent it.
    #[error("the card refused (status {0:04x})")]
    Other(u16),
}

impl Status {
    pub(super) fn of(sw: u16) -> Self {
        let [first, second] = sw.to_be_bytes();
        match (first, second) {
            (0x90, 0x00) => Self::Success,
            (0x61, more) => Self::MoreData(more),
            (0x6c, length) => Self::WrongExpected(length),
            (0x63, tries @ 0xc0..=0xcf) => Self::TriesLeft(tries & 0x0f),
            (0x67, 0x00) => Self::WrongLength,
            (0x69, 0x82) => Self::SecurityStatus,
            (0x69, 0x83) => Self::Blocked,
            (0x69, 0x84) => Self::ReferenceUnusable,
            (0x69, 0x85) => Self::Conditions,
            (0x6a, 0x80) => Self::WrongData,
            (0x6a, 0x81) | (0x6d | 0x6e, 0x00) => Self::NotSupported,
            (0x6a, 0x82) => Self::NotFound,
            (0x6a, 0x84) => Self::Full,
            (0x6a, 0x86) => Self::WrongParameters,
            (0x6a, 0x88) => Self::NoReference,
            _ => Self::Other(sw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_word_has_a_meaning() {
        assert_eq!(Status::of(0x9000), Status::Success);
        assert_eq!(Status::of(0x63c2), Status::TriesLeft(2));
        assert_eq!(Status::of(0x6302), Status::Other(0x6302));
        assert_eq!(Status::of(0x6100), Status::MoreData(0));
        assert_eq!(Status::of(0x9001), Status::Other(0x9001));
        assert_eq!((0..=u16::MAX).filter(|sw| Status::of(*sw) == Status::Success).count(), 1);
    }
}
