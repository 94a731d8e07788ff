//! The seam between a smart card's protocol and the reader it sits in.

use super::{ChannelError, Patience};

/// A smart card in a reader: whole command APDUs go in, whole response APDUs (data, SW1, SW2) come out.
pub trait Card: Send {
    /// Takes the card for itself alone, until [`Self::end`]. Waits while another program has it.
    ///
    /// # Errors
    /// [`ChannelError::Busy`] if another program still had it when `patience` ended; [`ChannelError::Gone`] when
    /// there is no card (any more); [`ChannelError::Cancelled`], [`ChannelError::Io`].
    fn begin(&mut self, patience: &Patience) -> Result<(), ChannelError>;

    /// Sends one command and waits for its response, which may hold secrets: wiping it is the caller's duty.
    ///
    /// # Errors
    /// As [`Self::begin`]; [`ChannelError::Reset`] if the card was reset and has forgotten what was selected and
    /// verified; [`ChannelError::TimedOut`]. After any of them only [`Self::end`] makes sense.
    fn transmit(&mut self, command: &[u8], patience: &Patience) -> Result<Vec<u8>, ChannelError>;

    /// Lets go of the card. Without a [`Self::begin`] before, nothing happens.
    fn end(&mut self, after: After);
}

/// What becomes of a card that is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It stays as it is: what was verified is so for the next program too.
    Leave,
    /// It is reset, and forgets a verified PIN.
    Reset,
}

impl<C: Card + ?Sized> Card for Box<C> {
    fn begin(&mut self, patience: &Patience) -> Result<(), ChannelError> {
        (**self).begin(patience)
    }

    fn transmit(&mut self, command: &[u8], patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        (**self).transmit(command, patience)
    }

    fn end(&mut self, after: After) {
        (**self).end(after);
    }
}
