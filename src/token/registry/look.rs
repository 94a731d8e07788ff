//! What the tokens say that were found: each is asked on its own thread, all at once.

use super::super::trouble::{Reason, Trouble};
use super::super::worker::{Mark, Worker};
use super::super::{CodeToken, Device, Kind, TokenError, Traits};
use super::{HELLO, Known, Place, Present, PresentCodes, id};
use crate::piv::PivError;
use std::collections::{BTreeMap, BTreeSet};

/// Whether to ask also those that did not answer a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patient {
    /// A token is needed: one that hung may be well again.
    Yes,
    /// It is for a list: nobody should wait for one that hangs.
    No,
}

/// What was plugged in at one moment.
#[derive(Debug)]
pub struct Look {
    pub(super) tokens: BTreeMap<Place, Known>,
    pub(super) codes: BTreeMap<Place, Known<Worker<dyn CodeToken>>>,
    /// Of what is not there to be asked.
    pub(super) troubles: Vec<Trouble>,
}

impl Look {
    /// Whether the token of this thread is still where it was.
    pub fn has(&self, thread: &Mark) -> bool {
        self.tokens.values().any(|known| known.worker.has(thread))
    }

    /// Those that can be keyslots and answer, in a fixed order, and why the others do not.
    pub async fn present(self, patience: Patient) -> (Vec<Present>, Vec<Trouble>) {
        let answers = ask(self.tokens, patience).await;
        let any = !answers.present.is_empty();
        (answers.present, Trouble::settle([self.troubles, answers.troubles].concat(), any))
    }

    /// The same, of those that make one-time codes.
    pub async fn codes(self, patience: Patient) -> (Vec<PresentCodes>, Vec<Trouble>) {
        let answers = ask(self.codes, patience).await;
        let any = !answers.present.is_empty();
        (answers.present, Trouble::settle([self.troubles, answers.troubles].concat(), any))
    }

    /// Both. A card that has none of the applications that it may have is told of, too.
    pub async fn all(self, patience: Patient) -> (Vec<Present>, Vec<PresentCodes>, Vec<Trouble>) {
        let (tokens, codes) = tokio::join!(ask(self.tokens, patience), ask(self.codes, patience));
        let lacks_all = tokens.lacks.into_iter().filter(|seat| codes.lacks.contains(seat));
        let foreign = lacks_all.map(|place| Trouble { reason: Reason::ForeignCard, place }).collect();
        let any = !tokens.present.is_empty() || !codes.present.is_empty();
        let troubles = [self.troubles, tokens.troubles, codes.troubles, foreign].concat();
        (tokens.present, codes.present, Trouble::settle(troubles, any))
    }
}

/// What tokens answered.
struct Answers<W> {
    present: Vec<Present<W>>,
    troubles: Vec<Trouble>,
    /// The readers whose cards have none of the applications that they were asked for.
    lacks: BTreeSet<String>,
}

async fn ask<T: ?Sized + Device + 'static>(
    all: BTreeMap<Place, Known<Worker<T>>>,
    patience: Patient,
) -> Answers<Worker<T>> {
    let mut asked = tokio::task::JoinSet::new();
    for (place, known) in all {
        asked.spawn(async move {
            let last = known.last.lock().ok().and_then(|last| last.clone());
            if known.is_hopeless(patience) {
                let answer = last.ok_or(TokenError::TimedOut);
                return (place, known, answer);
            }
            let answer = known
                .worker
                .run(HELLO, |token, patience| {
                    let traits = token.traits(patience);
                    token.release();
                    traits
                })
                .await;
            known.remember(&answer);
            (place, known, answer)
        });
    }
    let mut present: BTreeMap<Place, Present<Worker<T>>> = BTreeMap::new();
    let mut troubles = Vec::new();
    let (mut lacks, mut has) = (BTreeSet::new(), BTreeSet::new());
    while let Some(joined) = asked.join_next().await {
        let Ok((place, known, answer)) = joined else { continue };
        // A card is asked for each application that it may have.
        if let Err(TokenError::Card(PivError::NoApplication(_))) = answer {
            lacks.insert(known.seat);
            continue;
        }
        has.insert(known.seat.clone());
        match answer {
            Ok(traits) => {
                let token = describe(&place, known, traits);
                present.insert(place, token);
            }
            Err(error) => troubles.extend(Trouble::of_token(&error, place.wire(), known.seat)),
        }
    }
    // A YubiKey may be there by two wires: the one without a transaction is for want of the other.
    let by_card: BTreeSet<String> = present
        .iter()
        .filter(|(place, token)| matches!(place, Place::Card(_, Kind::OtpHmac)) && !token.serial.is_empty())
        .map(|(_, token)| token.serial.clone())
        .collect();
    present.retain(|place, token| !matches!(place, Place::Keyboard(_)) || !by_card.contains(&token.serial));
    let lacks = lacks.into_iter().filter(|seat| !has.contains(seat)).collect();
    Answers { present: by_serial(present.into_values().collect()), troubles, lacks }
}

/// Names those by their serial numbers that have one of their own: where several claim the same, each is named by its
/// place, so that none of them can pass for another.
pub(super) fn by_serial<W>(mut present: Vec<Present<W>>) -> Vec<Present<W>> {
    let mut claims: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    for token in &present {
        let claimed = claims.entry((token.kind, token.serial.clone())).or_default();
        *claimed = claimed.saturating_add(1);
    }
    for token in &mut present {
        let alone = claims.get(&(token.kind, token.serial.clone())) == Some(&1);
        if alone && !token.serial.is_empty() {
            token.id = id(token.kind, &[b"serial\0", token.serial.as_bytes()]);
        }
    }
    present
}

pub(super) fn describe<W>(place: &Place, known: Known<W>, traits: Traits) -> Present<W> {
    let serial = if known.serial.is_empty() { traits.serial.clone() } else { None };
    Present {
        id: place.id(),
        kind: place.kind(),
        product: known.product,
        serial: serial.unwrap_or(known.serial),
        is_virtual: known.is_virtual,
        traits,
        worker: known.worker,
    }
}
