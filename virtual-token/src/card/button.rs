//! The touch that a card command waits for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trussed_core::InterruptFlag;

use super::apdu::Status;
use crate::touch::Touch;

/// How long a YubiKey's card waits for a touch.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The token's button, as the card sees it.
#[derive(Clone)]
pub struct Button {
    touch: Arc<Touch>,
    interrupt: &'static InterruptFlag,
}

impl Button {
    /// The button, and the flag that says that nobody waits for the answer any more.
    pub fn new(touch: Arc<Touch>, interrupt: &'static InterruptFlag) -> Self {
        Self { touch, interrupt }
    }

    /// Waits for a touch.
    ///
    /// # Errors
    /// [`Status::SECURITY`] when none comes.
    pub fn wait(&self) -> Result<(), Status> {
        let since = Instant::now();
        while !self.touch.take() {
            if self.interrupt.is_interrupted() || since.elapsed() >= PATIENCE {
                return Err(Status::SECURITY);
            }
            self.touch.pause();
        }
        Ok(())
    }
}
