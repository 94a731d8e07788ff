//! The way from a surface on which somebody says no, at any time, to the daemon.

use crate::cli::refusal::Refusal;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Refusals on their way, with the number of the prompt that each is of.
pub(super) type Refusals = UnboundedReceiver<(u64, Refusal)>;

#[derive(Clone)]
pub(super) struct Refuser(UnboundedSender<(u64, Refusal)>);

impl Refuser {
    pub(super) fn new() -> (Self, Refusals) {
        let (sender, refusals) = unbounded_channel();
        (Self(sender), refusals)
    }

    pub(super) fn refuse(&self, prompt: u64, why: Refusal) {
        let _the_command_is_over = self.0.send((prompt, why));
    }
}
