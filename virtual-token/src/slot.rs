//! The card's end of a reader, whatever its wire: a command goes in and an answer comes out, unless a fault is on.

use crate::{
    authenticator::Request,
    card::apdu::{Status, response},
    fault::{Interface, Verdict},
    session::Ending,
    token::{Pending, Token},
};

/// A card without an answer: nobody can tell what is wrong with it.
const NO_DIAGNOSIS: Status = Status(0x6F00);

/// The slot, with the card in it.
pub struct Slot {
    token: Token,
    pending: Option<Pending>,
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response APDU.
    Answer(Vec<u8>),
    /// Nothing, and nothing will.
    Silence,
    /// The card goes.
    End(Ending),
}

impl Outcome {
    fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Pass => None,
            Verdict::Swallow => Some(Self::Silence),
            Verdict::Vanish => Some(Self::End(Ending::Vanished)),
            Verdict::Reset => Some(Self::End(Ending::Reset)),
        }
    }
}

impl Slot {
    /// A slot with this token's card in it.
    pub fn new(token: Token) -> Self {
        Self { token, pending: None }
    }

    /// Has the card forget what it was told.
    pub fn reset(&self) {
        self.token.reset_card();
    }

    /// Answers a command APDU. When this is dropped before it is done, call [`Self::abandon`].
    pub async fn transmit(&mut self, command: Vec<u8>) -> Outcome {
        self.token.note_request();
        if let Some(outcome) = Outcome::of(self.token.faults().step(Interface::Card)) {
            return outcome;
        }
        self.pending = self.token.queue(Request::Card(command)).await;
        let answer = match &mut self.pending {
            Some(pending) => pending.answer().await.ok(),
            None => None,
        };
        self.pending = None;
        let faults = self.token.faults();
        if let Some(outcome) = Outcome::of(faults.step(Interface::Card)) {
            return outcome;
        }
        faults.released().await;
        let mut answer = answer.unwrap_or_else(|| response(Vec::new(), NO_DIAGNOSIS));
        faults.garble(&mut answer);
        Outcome::Answer(answer)
    }

    /// Nobody wants the answer any more: returns when the card has stopped working at it.
    pub async fn abandon(&mut self) {
        if let Some(mut pending) = self.pending.take() {
            self.token.cancel();
            pending.answer().await.ok();
        }
    }
}
