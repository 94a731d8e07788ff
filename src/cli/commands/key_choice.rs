//! How the key of a new keyslot is to be made, for `init` and `keyslot add`.

use super::input;
use crate::cli::args::KeyChoice;
use crate::cli::error::Error;
use crate::cli::handover;

/// The choice in the API's words.
pub(super) struct Chosen {
    pub(super) slot: Option<String>,
    pub(super) generate: Option<String>,
    pub(super) management_key: Option<zbus::OwnedFd>,
}

/// Reads the management key from its file.
pub(super) fn read(key: KeyChoice) -> Result<Chosen, Error> {
    let KeyChoice { slot, generate, management_key_file } = key;
    let management_key = match management_key_file {
        Some(path) => Some(handover::inlet(&input::read(&path)?)?.into()),
        None => None,
    };
    Ok(Chosen { slot, generate, management_key })
}
