//! The smart card interface: messages in, messages out, and a request for more time while the card works.

use std::{pin::pin, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::ccid::{Event, Link};
use crate::{
    session::{Ended, Ending},
    slot::{Outcome, Slot},
    token::Token,
};

/// Well within the time that the host would wait without a sign of life.
const KEEPALIVE: Duration = Duration::from_millis(500);

/// The interface's end of the wire: what the host sent, and what it is to be given.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// Each one transfer.
    pub(super) arrivals: mpsc::UnboundedReceiver<Vec<u8>>,
    /// Each one message.
    pub(super) answers: mpsc::UnboundedSender<Vec<u8>>,
}

struct Reader {
    token: Token,
    pipes: Pipes,
    link: Link,
}

/// Serves until the other end of the pipes goes, `plugged` loses its sender, or a fault ends it. What was left
/// pending is cancelled and over when this returns.
pub(crate) async fn serve(token: Token, pipes: Pipes, mut plugged: watch::Receiver<()>) -> Ended {
    let mut slot = Slot::new(token.clone());
    let mut reader = Reader { token, pipes, link: Link::default() };
    let ending = tokio::select! {
        ending = reader.run(&mut slot) => ending,
        _ = plugged.changed() => Ending::Gone,
    };
    slot.abandon().await;
    slot.reset();
    Ended::new(ending, reader.pipes)
}

impl Reader {
    async fn run(&mut self, slot: &mut Slot) -> Ending {
        while let Some(bytes) = self.pipes.arrivals.recv().await {
            match self.link.take(&bytes) {
                Event::None => {}
                Event::Reply(message) => self.send(message),
                Event::Reset(message) => {
                    slot.reset();
                    self.send(message);
                }
                Event::Abort(messages) => messages.into_iter().for_each(|message| self.send(message)),
                Event::Command(command) => {
                    if let Some(ending) = self.command(slot, command).await {
                        return ending;
                    }
                }
            }
        }
        Ending::Gone
    }

    /// Answers a command, or says how it ends instead.
    async fn command(&mut self, slot: &mut Slot, command: Vec<u8>) -> Option<Ending> {
        let mut beat = interval_at(Instant::now().checked_add(KEEPALIVE)?, KEEPALIVE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let aborted = {
            let mut work = pin!(slot.transmit(command));
            loop {
                tokio::select! {
                    outcome = &mut work => {
                        match outcome {
                            Outcome::Answer(answer) => {
                                let message = self.link.complete(&answer);
                                self.send(message);
                            }
                            Outcome::Silence => self.link.forget(),
                            Outcome::End(ending) => return Some(ending),
                        }
                        return None;
                    }
                    _ = beat.tick() => if !self.token.faults().is_silent() {
                        self.send(self.link.more_time());
                    },
                    bytes = self.pipes.arrivals.recv() => match bytes.map(|bytes| self.link.take(&bytes)) {
                        None => return Some(Ending::Gone),
                        Some(Event::Abort(messages)) => break messages,
                        Some(Event::Reply(message)) => self.send(message),
                        // While a command is pending there are no others.
                        Some(Event::None | Event::Reset(_) | Event::Command(_)) => {}
                    },
                }
            }
        };
        slot.abandon().await;
        for message in aborted {
            self.send(message);
        }
        None
    }

    /// Where nobody listens any more, the next arrival will tell.
    fn send(&self, message: Vec<u8>) {
        self.pipes.answers.send(message).ok();
    }
}
