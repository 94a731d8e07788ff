//! From a locked vault to its keys: find the token, have it asked, open the keyslot.

use super::consents::{Consents, Match};
use super::error::{Error, Hints};
use super::purpose::Purpose;
use super::recovery;
use super::removal::{Opener, Opening};
use super::who::Who;
use super::{Service, problem::vault_error};
use crate::secret::{GuardKey, UnlockKey};
use crate::token::Wanted;
use crate::token::registry::{Patient, Present};
use crate::token::trouble::Reason;
use crate::vault::{Header, Lock, SlotId};
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
        self.is_awake()?;
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
        let mut opening = self.opening();
        let collecting = Box::pin(self.collect(asker, key, wanted, &mut opening.by));
        let keys = self.unless_locked(asker, collecting).await?;
        Ok((keys, opening))
    }

    /// Does what somebody has to consent to. When the vault is locked meanwhile, nobody is asked any more.
    pub(super) async fn unless_locked<R>(
        &self,
        asker: &Asker<'_>,
        work: impl Future<Output = Result<R, Error>>,
    ) -> Result<R, Error> {
        let mut locks = self.locks.subscribe();
        tokio::select! {
            biased;
            _locked = locks.changed() => {
                asker.who.prompter.done().await.unwrap_or(());
                Err(Error::Cancelled)
            }
            result = work => result,
        }
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
