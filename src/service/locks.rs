//! From a locked vault to its keys: find the token, say why, ask for PIN and touch, derive, open the keyslot.

use super::consents::{Consents, Match};
use super::error::{Error, Hints, Tries};
use super::purpose::Purpose;
use super::recovery;
use super::removal::{Opener, Opening};
use super::who::Who;
use super::{Service, problem::vault_error};
use crate::channel::Patience;
use crate::secret::{GuardKey, Pin, UnlockKey};
use crate::token::prompter::{Ask, Refusal};
use crate::token::registry::{Patient, Present};
use crate::token::trouble::Reason;
use crate::token::worker::Worker;
use crate::token::{Derived, Device, PinPurpose, Token, TokenError, Wanted, needs};
use crate::vault::{Header, Keyslot, Lock, SlotId};
use std::time::Duration;

/// How long a question to a token that needs no person may take.
pub(super) const QUESTION: Duration = Duration::from_secs(10);
/// How long a person has for a PIN, or for a touch.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The keys that were asked for, and the token that gave them.
pub(super) struct Keys {
    pub(super) unlock: Option<UnlockKey>,
    pub(super) guard: Option<GuardKey>,
    pub(super) token: String,
}

/// Who asks, and what for.
pub(super) struct Asker<'a> {
    pub(super) who: Who<'a>,
    pub(super) purpose: &'a Purpose,
}

/// What consents first, and the header that it was found in.
pub(super) struct Key {
    first: Source,
    header: Header,
}

/// Where a holder's part of the keys comes from.
enum Source {
    Token(Match),
    /// A recovery code.
    Code,
}

/// The tokens that answer, and why there may be none among them that is wanted.
pub(super) struct Tokens {
    pub(super) present: Vec<Present>,
    pub(super) hints: Hints,
    /// Whether another program holds one.
    pub(super) busy: bool,
}

impl Key {
    /// Which keys it is for: they are others after a rekey.
    pub(super) const fn epoch(&self) -> u64 {
        self.header.epoch()
    }
}

impl Service {
    /// The token that opens this vault, if there is one and somebody would see its prompt.
    pub(super) async fn find_key(&self, who: &Who<'_>, header: Header, lock: Lock) -> Result<Key, Error> {
        if !who.prompter.available() {
            return Err(Error::NoPrompt);
        }
        let needed = header.thresholds().of(lock).into();
        if who.tokens().is_some_and(|_some| who.named().is_some_and(|named| named < needed)) {
            return Err(Error::TooFewNamed(needed));
        }
        let first = if who.has_code() {
            recovery::name(&header)?;
            Source::Code
        } else {
            Source::Token(self.find_token(who.token, &header, lock).await?)
        };
        Ok(Key { first, header })
    }

    /// Opens the locks that are wanted: each holder that it takes consents with one PIN and one touch. One prompt at a
    /// time: the caller holds the turn.
    pub(super) async fn open_locks(
        &self,
        asker: &Asker<'_>,
        key: Key,
        wanted: Wanted,
    ) -> Result<(Keys, Opening), Error> {
        let mut locks = self.locks.subscribe();
        let mut opening = Opening::new(&self.locks);
        let keys = tokio::select! {
            biased;
            _locked = locks.changed() => {
                asker.who.prompter.done().await.unwrap_or(());
                Err(Error::Cancelled)
            }
            keys = self.collect(asker, key, wanted, &mut opening.by) => keys,
        };
        Ok((keys?, opening))
    }

    async fn collect(
        &self,
        asker: &Asker<'_>,
        key: Key,
        wanted: Wanted,
        by: &mut Vec<Opener>,
    ) -> Result<Keys, Error> {
        let Key { first, header } = key;
        let mut consents = Consents::new(&header, wanted);
        let mut next = first;
        loop {
            // Whoever consented before may have made room for this one.
            for opener in by.iter_mut() {
                opener.last = false;
            }
            match next {
                Source::Token(token) => {
                    by.push(Opener { slot: token.slot, thread: token.token.worker.mark(), last: true });
                    self.consent(asker, &header, token, &mut consents).await?;
                }
                Source::Code => self.consent_by_code(asker, &header, &mut consents).await?,
            }
            if consents.missing() == 0 {
                return consents.keys(self.path());
            }
            next = Source::Token(self.next_holder(asker, &header, &consents).await?);
        }
    }

    /// Has whoever holds the recovery code give what it has of the keys.
    async fn consent_by_code(
        &self,
        asker: &Asker<'_>,
        header: &Header,
        consents: &mut Consents,
    ) -> Result<(), Error> {
        let (label, holder) = recovery::name(header)?;
        let purpose = consents.purpose(asker.purpose, &holder);
        let asker = Asker { who: asker.who, purpose: &purpose };
        let (slot, code) = self.ask_code(&asker, header, &label).await?;
        let derived = recovery::derive(&code, consents.wanted(slot));
        let taken = consents.take(header, slot, recovery::named(slot), derived);
        taken.map_err(|error| vault_error(&error, self.path()))
    }

    /// Has one holder's token give what it has of the keys.
    async fn consent(
        &self,
        asker: &Asker<'_>,
        header: &Header,
        from: Match,
        consents: &mut Consents,
    ) -> Result<(), Error> {
        let Match { token, slot } = from;
        let slot = header.keyslot(slot).ok_or(Error::Failed("the keyslot is gone"))?;
        let label = format!("{} ({})", slot.label(), name(&token));
        let purpose = consents.purpose(asker.purpose, slot.holder());
        let asker = Asker { who: asker.who, purpose: &purpose };
        let held = token.worker.hold();
        let result = self.ask_token(&asker, &token, &label, slot, consents.wanted(slot)).await;
        drop(held);
        asker.who.prompter.done().await.unwrap_or(());
        consents.take(header, slot, label, result?).map_err(|error| vault_error(&error, self.path()))
    }

    pub(super) async fn ask_token(
        &self,
        asker: &Asker<'_>,
        token: &Present,
        label: &str,
        slot: &Keyslot,
        wanted: Wanted,
    ) -> Result<Derived, Error> {
        let needs = needs(token.kind, slot.binding())?;
        let _pin = if needs.pin {
            prove(token, slot).await?;
            Some(self.verify_pin(asker, token, label, PinPurpose::Derive).await?)
        } else {
            None
        };
        let binding = slot.binding().to_vec();
        let derived = self
            .touch(asker, token, label, needs.touch, move |token, patience, blinks| {
                token.derive(&binding, wanted, patience, blinks)
            })
            .await?;
        Ok(derived)
    }

    /// Asks until the PIN is right, the token blocks, or whoever answers gives up.
    pub(super) async fn verify_pin(
        &self,
        asker: &Asker<'_>,
        token: &Present,
        label: &str,
        purpose: PinPurpose,
    ) -> Result<Pin, Error> {
        let mut failed = false;
        loop {
            let tries = token.worker.run(QUESTION, Token::tries_left).await?;
            if tries == 0 {
                return Err(Error::PinBlocked);
            }
            let ask = self.ask(asker, &token.id, label);
            let pin = tokio::time::timeout(PATIENCE, asker.who.prompter.pin(ask, tries, failed)).await;
            let pin = match pin {
                Ok(Ok(pin)) => pin,
                Ok(Err(Refusal::Refused)) if failed => return Err(Error::PinInvalid(Tries(tries))),
                Ok(Err(Refusal::Refused)) => return Err(Error::Cancelled),
                Ok(Err(Refusal::NoSurface)) => return Err(Error::NoPrompt),
                Err(_elapsed) => return Err(Error::TimedOut),
            };
            if self.wrong_pins.knows(&token.id, &pin, tries) {
                // A person who mistypes in the same way is told once; what goes on giving it is no person.
                if std::mem::replace(&mut failed, true) {
                    return Err(Error::PinInvalid(Tries(tries)));
                }
                continue;
            }
            let (pin, verified) = verify(token, pin, purpose).await?;
            match verified {
                Ok(()) => {
                    self.wrong_pins.forget(&token.id);
                    return Ok(pin);
                }
                Err(TokenError::PinInvalid) => {
                    self.wrong_pins.note(&token.id, &pin, tries);
                    failed = true;
                }
                // Another program has spent tries since: whoever types it must know.
                Err(TokenError::LastTry) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says why, then has `job` done, which waits for a touch if it `touches`.
    pub(super) async fn touch<R: Send + 'static, T: ?Sized + Device + 'static>(
        &self,
        asker: &Asker<'_>,
        token: &Present<Worker<T>>,
        label: &str,
        touches: bool,
        job: impl FnOnce(&mut T, &Patience, &mut dyn FnMut()) -> Result<R, TokenError> + Send + 'static,
    ) -> Result<R, Error> {
        let shown = self.clock.offset();
        let ask = self.announce(asker, token, label, touches).await?;
        let (blinks, mut blinking) = tokio::sync::mpsc::unbounded_channel();
        let mut work = std::pin::pin!(token.worker.run(PATIENCE, move |token, patience| {
            job(token, patience, &mut || {
                let _nobody_listens_any_more = blinks.send(());
            })
        }));
        loop {
            tokio::select! {
                biased;
                // Whoever drops the work takes the question off the token.
                Err(_refusal) = asker.who.prompter.refused() => return Err(Error::Cancelled),
                result = &mut work => {
                    let result = result?;
                    // The touch vouches for the time that the text was made at, and for no other.
                    return if self.clock.confirm(shown) { Ok(result) } else { Err(Error::ClockMoved) };
                }
                Some(()) = blinking.recv() => asker.who.prompter.blinking(ask.clone()).await.unwrap_or(()),
            }
        }
    }

    /// Says on every surface what a token is going to be used for.
    pub(super) async fn announce<W: Sync>(
        &self,
        asker: &Asker<'_>,
        token: &Present<W>,
        label: &str,
        touches: bool,
    ) -> Result<Ask, Error> {
        let ask = Ask { touch: touches, ..self.ask(asker, &token.id, label) };
        match tokio::time::timeout(PATIENCE, asker.who.prompter.touch(ask.clone())).await {
            Ok(Ok(())) => Ok(ask),
            Ok(Err(Refusal::Refused)) => Err(Error::Cancelled),
            Ok(Err(Refusal::NoSurface)) => Err(Error::NoPrompt),
            Err(_elapsed) => Err(Error::TimedOut),
        }
    }

    pub(super) fn ask(&self, asker: &Asker<'_>, token: &str, label: &str) -> Ask {
        let clock = self.clock.jump().map(|jump| self.clock_warning(jump));
        Ask {
            token: token.to_owned(),
            label: label.to_owned(),
            touch: false,
            text: asker.purpose.text(asker.who.caller, &(asker.who.others)(), clock.as_deref()),
            deadline: self.clock.now().saturating_add(PATIENCE.as_secs()),
        }
    }

    /// Which keyslot of the vault is this token's, asked without a touch; for one that is busy with somebody,
    /// what it answered last.
    pub(super) async fn slot_of(&self, token: &Present, header: &Header) -> Option<SlotId> {
        if token.worker.is_held() {
            return self.enrolled.lock().ok().and_then(|enrolled| enrolled.get(&token.id).copied());
        }
        let slots: Vec<_> =
            header.keyslots().iter().filter(|slot| Some(slot.kind()) == token.kind.keyslot()).collect();
        let ids: Vec<_> = slots.iter().map(|slot| slot.id()).collect();
        let bindings: Vec<_> = slots.iter().map(|slot| slot.binding().to_vec()).collect();
        let found = token
            .worker
            .run(QUESTION, move |token, patience| {
                let found = token.find(&bindings, patience);
                token.release();
                found
            })
            .await;
        let slot = found.ok().flatten().and_then(|index| ids.get(index).copied());
        if let Ok(mut enrolled) = self.enrolled.lock() {
            match slot {
                Some(slot) => enrolled.insert(token.id.clone(), slot),
                None => enrolled.remove(&token.id),
            };
        }
        slot
    }

    /// All tokens that answer, or the one that was named.
    pub(super) async fn present_tokens(&self, wanted: Option<&str>) -> Result<Tokens, Error> {
        let (mut present, troubles) = self.look_for_tokens().await?.present(Patient::Yes).await;
        let busy = troubles.iter().any(|trouble| trouble.reason == Reason::Busy);
        if let Some(wanted) = wanted {
            present.retain(|token| is_named(wanted, &token.id));
        }
        match wanted {
            _ if !present.is_empty() => Ok(Tokens { present, hints: Hints::of(troubles), busy }),
            _ if busy => Err(Error::Busy),
            Some(wanted) => Err(no_such_token(wanted)),
            None => Err(Error::NoToken(Hints::of(troubles))),
        }
    }

    /// What the person confirms with the touch, when the wall clock cannot be believed by itself.
    fn clock_warning(&self, jump: i64) -> String {
        format!(
            "The clock jumped by {jump} s: touch only if it is now {}",
            crate::aws::rfc3339(self.clock.now()).unwrap_or_default()
        )
    }
}

/// Has the device prove once more that it is the keyslot's token, now over the connection that the PIN will take:
/// since it was found, another one may have taken its place.
async fn prove(token: &Present, slot: &Keyslot) -> Result<(), Error> {
    let binding = vec![slot.binding().to_vec()];
    let proved = token.worker.run(QUESTION, move |token, patience| token.find(&binding, patience)).await?;
    proved.map(drop).ok_or_else(|| Error::WrongToken(quoted(slot.label()), Hints::default()))
}

async fn verify(
    token: &Present,
    pin: Pin,
    purpose: PinPurpose,
) -> Result<(Pin, Result<(), TokenError>), Error> {
    let job = token.worker.run(QUESTION, move |token, patience| {
        let verified = token.verify_pin(&pin, purpose, patience);
        Ok((pin, verified))
    });
    Ok(job.await?)
}

/// Whether a token is one of those that a person named, with commas between several.
pub(super) fn is_named(wanted: &str, id: &str) -> bool {
    wanted.split(',').any(|wanted| wanted == id)
}

pub(super) fn quoted(label: &str) -> String {
    format!("\u{201c}{label}\u{201d}")
}

/// What people call a connected token.
pub(super) fn name<W>(token: &Present<W>) -> String {
    if token.serial.is_empty() {
        token.product.clone()
    } else {
        format!("{} {}", token.product, token.serial)
    }
}

/// Ids and names, for somebody who has to choose.
pub(super) fn list<'a, W: 'a>(tokens: impl Iterator<Item = &'a Present<W>>) -> String {
    tokens.map(|token| format!("{} ({})", token.id, name(token))).collect::<Vec<_>>().join(", ")
}

/// None is connected that has this id; which may be anything.
pub(super) fn no_such_token(wanted: &str) -> Error {
    Error::TokenNamed(wanted.chars().filter(char::is_ascii_graphic).take(64).collect())
}
