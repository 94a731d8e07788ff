//! What was proved on this machine, and when: kept with its memory, for nothing in it is secret.

use crate::vault::{Header, SlotId};
use minicbor::encode::Error;
use minicbor::{Decoder, Encoder};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// As many as a vault has keyslots.
const MOST: u64 = 64;

/// Times in seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::service) struct Proofs {
    /// When each keyslot's token last opened all that it should.
    pub(super) slots: BTreeMap<SlotId, u64>,
    /// When a copy of the file was last opened, and its generation.
    pub(super) backup: Option<(u64, u64)>,
    /// When a drill last proved everything.
    pub(super) drilled: Option<u64>,
}

impl Proofs {
    /// When the token of that keyslot last opened all that it should.
    pub(in crate::service) fn of(&self, slot: SlotId) -> Option<u64> {
        self.slots.get(&slot).copied()
    }

    /// Forgets keyslots that are gone.
    pub(super) fn keep(&mut self, header: &Header) {
        self.slots.retain(|id, _| header.keyslot(*id).is_some());
    }

    /// `[{slot: time}, [time, generation] or null, time or null]`
    pub(in crate::service) fn write(&self, out: &mut Encoder<&mut Vec<u8>>) -> Result<(), Error<Infallible>> {
        out.array(3)?.map(self.slots.len() as u64)?;
        for (slot, time) in &self.slots {
            out.bytes(slot.as_bytes())?.u64(*time)?;
        }
        match self.backup {
            Some((time, generation)) => out.array(2)?.u64(time)?.u64(generation)?,
            None => out.null()?,
        };
        match self.drilled {
            Some(time) => out.u64(time)?,
            None => out.null()?,
        };
        Ok(())
    }

    /// Reads what [`Self::write`] wrote. `None`: it is damaged.
    pub(in crate::service) fn read(from: &mut Decoder<'_>) -> Option<Self> {
        if from.array().ok()? != Some(3) {
            return None;
        }
        let count = from.map().ok()?.filter(|slots| *slots <= MOST)?;
        let mut slots = BTreeMap::new();
        for _ in 0..count {
            let slot = SlotId::from_bytes(from.bytes().ok()?.try_into().ok()?);
            slots.insert(slot, from.u64().ok()?);
        }
        let backup = nullable(from, |from| {
            (from.array().ok()? == Some(2)).then_some(())?;
            Some((from.u64().ok()?, from.u64().ok()?))
        })?;
        let drilled = nullable(from, |from| from.u64().ok())?;
        Some(Self { slots, backup, drilled })
    }
}

#[expect(clippy::option_option, reason = "null is an answer, nonsense is none")]
fn nullable<T>(
    from: &mut Decoder<'_>,
    read: impl FnOnce(&mut Decoder<'_>) -> Option<T>,
) -> Option<Option<T>> {
    if from.datatype().ok()? == minicbor::data::Type::Null {
        from.null().ok()?;
        return Some(None);
    }
    read(from).map(Some)
}
