//! What the fuzz target does with an input; `tests/corpus_ctap.rs` does the same with the corpus.

use rootseal::ctap::message::{AssertionReply, AuthData, ClientPinReply, CredentialReply, GetInfo, body};

/// Gives `data` to every decoder of replies; returns how many took it.
pub(crate) fn run(data: &[u8]) -> usize {
    let _status = body(data);
    [
        GetInfo::decode(data).is_ok(),
        ClientPinReply::decode(data).is_ok(),
        CredentialReply::decode(data).is_ok(),
        AssertionReply::decode(data).is_ok(),
        AuthData::decode(data).is_ok(),
    ]
    .into_iter()
    .filter(|taken| *taken)
    .count()
}
