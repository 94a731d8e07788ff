//! How a caller waits for a token, and what it hears meanwhile.

use crate::channel::Patience;

/// What a token says while it works (CTAP 2.1 section 11.2.9.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// `STATUS_PROCESSING`
    Processing,
    /// `STATUS_UPNEEDED`: the token blinks and waits for its user.
    TouchNeeded,
}

/// Waiting for one command that may need its user.
pub struct Wait<'a> {
    /// Deadline and cancel.
    pub patience: &'a Patience,
    /// Called when the token's state changes, not for each of its (about ten per second) messages.
    pub on_keepalive: &'a mut dyn FnMut(KeepAlive),
}
