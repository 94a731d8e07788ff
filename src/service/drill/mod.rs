//! The drill: proving, before the day on which it counts, that every keyslot and the backup still open.

mod proofs;

pub(super) use proofs::Proofs;

use super::Service;
use super::backup;
use super::error::Error;
use super::guarded::Unfinished;
use super::house::House;
use super::locks::{Asker, Keys};
use super::purpose::Purpose;
use super::who::Who;
use crate::token::Wanted;
use crate::vault::{Header, Lock, LockedVault, SlotId, VaultError, VaultId};
use std::sync::Arc;

/// What a drill has proved, and what not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Which vault.
    pub vault: VaultId,
    /// How often it was saved.
    pub generation: u64,
    /// How often it was rekeyed, plus one.
    pub epoch: u64,
    /// Its keyslots: id, name, holder, kind, and when it was proved in this drill.
    pub keyslots: Vec<Proof>,
    /// When a backup was opened in this drill, and its generation.
    pub backup: Option<(u64, u64)>,
    /// Whether nothing is missing.
    pub complete: bool,
    /// When it ended.
    pub ended: u64,
}

/// A drill that is going on.
pub(super) struct Begun {
    /// Of the keys that it proves.
    epoch: u64,
    proofs: Proofs,
}

/// A keyslot in a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its id.
    pub id: SlotId,
    /// Its name.
    pub label: String,
    /// Whose it is.
    pub holder: String,
    /// The kind of its token.
    pub kind: String,
    /// When it was proved; `None`: not in this drill.
    pub proved: Option<u64>,
}

impl Service {
    /// Notes that a keyslot was proved. It changes nothing else, so that failing to note it is no failure of the proof.
    pub(super) async fn note_proof(&self, id: SlotId) {
        let now = self.clock.now();
        self.note_or_warn(move |proofs| {
            proofs.slots.insert(id, now);
        })
        .await;
    }

    async fn note_or_warn(&self, note: impl Fn(&mut Proofs) + Send + 'static) {
        if let Err(error) = self.note(note).await {
            tracing::warn!(%error, "when it was proved was not written down");
        }
    }

    /// Notes something for good, and for the drill that is going on.
    async fn note(&self, note: impl Fn(&mut Proofs) + Send + 'static) -> Result<(), Error> {
        self.keeper
            .run(move |house| {
                let (header, _) = house.header()?;
                note(&mut house.machine.proofs);
                house.machine.proofs.keep(&header);
                // Of other keys, it proves nothing of these.
                let drill = house.drill.as_mut().filter(|drill| drill.epoch == header.epoch());
                if let Some(drill) = drill {
                    note(&mut drill.proofs);
                }
                Ok(())
            })
            .await?;
        self.remember().await
    }

    /// Begins a drill: what is proved from now on counts. One that was going on is over.
    ///
    /// # Errors
    /// [`Error::NoVault`], [`Error::Damaged`].
    pub async fn begin_drill(&self) -> Result<(), Error> {
        self.refresh().await?;
        self.keeper
            .run(|house| {
                let (header, _) = house.header()?;
                house.drill = Some(Begun { epoch: header.epoch(), proofs: Proofs::default() });
                Ok(())
            })
            .await
    }

    /// Opens a copy of the vault with the consent of its holders, and all that it holds; changes nothing. Returns its
    /// generation.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a copy of another vault, [`Error::InUse`] for one with keys of before; all that tokens and a
    /// damaged copy can go wrong with.
    pub async fn check_backup(self: &Arc<Self>, bytes: Vec<u8>, who: Who<'_>) -> Result<u64, Error> {
        let purpose = Purpose::new("backup-check", "check that a backup opens");
        let mut unfinished = Unfinished::new(Arc::clone(self), who.caller, purpose);
        let checked = Box::pin(self.open_backup(bytes, who, &mut unfinished)).await;
        unfinished.end(checked.as_ref().err()).await;
        let (generation, token) = checked?;
        self.record(who.caller, &unfinished.purpose, Some(&token)).await?;
        let now = self.clock.now();
        self.note_or_warn(move |proofs| proofs.backup = Some((now, generation))).await;
        Ok(generation)
    }

    async fn open_backup(
        &self,
        bytes: Vec<u8>,
        who: Who<'_>,
        unfinished: &mut Unfinished,
    ) -> Result<(u64, String), Error> {
        let copy = backup::read(bytes)?;
        let header = copy.header().clone();
        let _turn = self.turn.lock().await;
        self.refresh().await?;
        drop(self.saving.lock().await);
        let (there, _) = self.keeper.glance(House::header).await?;
        if header.vault_id() != there.vault_id() {
            return Err(Error::Invalid("this is a backup of another vault".to_owned()));
        }
        if header.epoch() < there.epoch() {
            return Err(Error::InUse(
                "this backup was made before the vault had its present keys, and opens with the tokens of then: make \
                 a new one with `rootseal vault backup`"
                    .to_owned(),
            ));
        }
        let generation = header.generation();
        let act = format!("check that the backup of generation {generation} opens");
        unfinished.purpose = Purpose::new("backup-check", act);
        let key = self.find_key(&who, header, Lock::Guard).await?;
        let asker = Asker { who, purpose: &unfinished.purpose };
        let (keys, _nothing_stays_open) =
            self.open_locks(&asker, key, Wanted { unlock: true, guard: true }).await?;
        let token = keys.token.clone();
        self.keeper
            .ask(move |_house| open_all(copy, keys))
            .await?
            .map_err(|error| backup::damaged(&error))?;
        Ok((generation, token))
    }

    /// Ends the drill that is going on: writes down what it has proved.
    ///
    /// # Errors
    /// [`Error::Invalid`] where none is, [`Error::NoVault`], [`Error::AuditFailed`].
    pub async fn finish_drill(&self, who: Who<'_>) -> Result<Drill, Error> {
        self.refresh().await?;
        let ended = self.clock.now();
        let drill = self
            .keeper
            .run(move |house| {
                let begun = house.drill.as_ref();
                let begun = begun.ok_or_else(|| Error::Invalid("no drill is going on".to_owned()))?;
                let (header, _) = house.header()?;
                if header.epoch() != begun.epoch {
                    return Err(Error::Invalid(
                        "the vault has got new keys since the drill began: begin again".to_owned(),
                    ));
                }
                Ok(Drill::of(&header, &begun.proofs, ended))
            })
            .await?;
        let purpose = Purpose::new("drill", drill.words());
        if drill.complete {
            self.record(who.caller, &purpose, None).await?;
            self.note(move |proofs| proofs.drilled = Some(ended)).await?;
        } else {
            self.record_refusal(who.caller, &purpose, &Error::Failed("the drill is not complete")).await;
        }
        // Not before it is written down: nobody should have to come again for that.
        self.keeper.ask(|house| house.drill = None).await?;
        Ok(drill)
    }

    /// When the last drill proved everything, and when the next one is due: seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn drills(&self) -> Result<(Option<u64>, Option<u64>), Error> {
        let every = self.settings.drill_every.map(|every| every.as_secs());
        self.keeper
            .glance(move |house| {
                let Ok((header, _)) = house.header() else { return Ok((None, None)) };
                let drilled = house.machine.proofs.drilled;
                let made = header.keyslots().iter().map(crate::vault::Keyslot::created).min();
                let due = every.and_then(|every| Some(drilled.or(made)?.saturating_add(every)));
                Ok((drilled, due))
            })
            .await
    }
}

impl Drill {
    fn of(header: &Header, proofs: &Proofs, ended: u64) -> Self {
        let keyslots = header.keyslots().iter().map(|slot| Proof {
            id: slot.id(),
            label: slot.label().to_owned(),
            holder: slot.holder().to_owned(),
            kind: slot.kind().to_owned(),
            proved: proofs.of(slot.id()),
        });
        let keyslots: Vec<_> = keyslots.collect();
        let backup = proofs.backup;
        let complete = backup.is_some() && keyslots.iter().all(|slot| slot.proved.is_some());
        let (vault, generation, epoch) = (header.vault_id(), header.generation(), header.epoch());
        Self { vault, generation, epoch, keyslots, backup, complete, ended }
    }

    fn words(&self) -> String {
        let proved = self.keyslots.iter().filter(|slot| slot.proved.is_some()).count();
        let backup = match self.backup {
            Some((_, generation)) => format!("the backup of generation {generation}"),
            None => "no backup".to_owned(),
        };
        format!("drill: {proved} of {} keyslots and {backup} opened", self.keyslots.len())
    }
}

/// Opens every record of a copy, and drops what was in it.
fn open_all(copy: LockedVault, keys: Keys) -> Result<(), VaultError> {
    let (unlock, guard) = keys.unlock.zip(keys.guard).ok_or(VaultError::NotEnough)?;
    let mut vault = copy.unlock(unlock).map_err(|(_locked, error)| error)?;
    let items: Vec<_> = vault.index().items().iter().map(|item| item.id).collect();
    let guard = vault.guard(guard)?;
    items.into_iter().try_for_each(|id| guard.secret(id).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_read_as_they_were_written() {
        let slots = [(SlotId::from_bytes([1; 16]), 7), (SlotId::from_bytes([2; 16]), u64::MAX)].into();
        for proofs in [Proofs::default(), Proofs { slots, backup: Some((8, 12)), drilled: Some(9) }] {
            let mut bytes = Vec::new();
            proofs.write(&mut minicbor::Encoder::new(&mut bytes)).unwrap();
            let mut from = minicbor::Decoder::new(&bytes);
            assert_eq!(Proofs::read(&mut from), Some(proofs));
            assert_eq!(from.position(), bytes.len());
            for end in 0..bytes.len() {
                assert_eq!(Proofs::read(&mut minicbor::Decoder::new(&bytes[..end])), None);
            }
        }
    }
}
