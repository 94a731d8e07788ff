//! The seam between a token's protocol and the wire it hangs on: whole HID reports or whole APDUs go out
//! and come in, with a deadline and a way to cancel. Nothing here knows a protocol or opens a device.

mod cancel;
mod card;
mod reports;

pub use cancel::Cancel;
pub use card::{After, Card};
pub use reports::{FEATURE_REPORT, FeatureReports};

use std::time::Instant;

/// How long one exchange may wait, and what can end it early.
#[derive(Clone, Debug)]
pub struct Patience {
    /// When waiting ends with [`ChannelError::TimedOut`].
    pub deadline: Instant,
    /// Ends waiting at once with [`ChannelError::Cancelled`].
    pub cancel: Cancel,
}

/// One token's wire. A value of this type is owned by one thread.
pub trait Channel: Send {
    /// Sends one whole report (for HID: 64 bytes, without the report number) or command APDU.
    ///
    /// # Errors
    /// [`ChannelError::Gone`] when the token is no longer there, [`ChannelError::Io`] otherwise.
    fn send(&mut self, frame: &[u8]) -> Result<(), ChannelError>;

    /// Waits for one whole report or response APDU.
    ///
    /// # Errors
    /// As [`Self::send`], and when `patience` ends.
    fn receive(&mut self, patience: &Patience) -> Result<Vec<u8>, ChannelError>;
}

impl<C: Channel + ?Sized> Channel for Box<C> {
    fn send(&mut self, frame: &[u8]) -> Result<(), ChannelError> {
        (**self).send(frame)
    }

    fn receive(&mut self, patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        (**self).receive(patience)
    }
}

/// Why nothing came, or nothing went.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[non_exhaustive]
pub enum ChannelError {
    /// The token was unplugged, or the virtual token's process ended.
    #[error("the token was removed")]
    Gone,
    /// The deadline passed.
    #[error("the token did not answer in time")]
    TimedOut,
    /// Somebody called [`Cancel::cancel`].
    #[error("cancelled")]
    Cancelled,
    /// Another program had the card until the deadline.
    #[error("another program is using the token")]
    Busy,
    /// The card was reset while we had it: it has forgotten the PIN and what was selected.
    #[error("the card was reset by somebody else")]
    Reset,
    /// Any other failure of the operating system.
    #[error("input/output with the token failed: {0}")]
    Io(std::io::ErrorKind),
}
