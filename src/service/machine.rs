//! What this machine remembers outside the vault: what it saw of the vault last, and which one-time codes it
//! has given out. Kept in `state.cbor`; nothing in it is secret.

use super::drill::Proofs;
use super::error::Error;
use super::seeds::SeedKey;
use crate::vault::Seen;
use minicbor::{Decoder, Encoder};
use std::collections::BTreeMap;

/// More seeds than this are not remembered by number; it bounds what is read from the disk.
const MOST_SEEDS: u64 = 1_000_000;

/// The machine's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// The vault as it was last read or written here.
    pub(super) seen: Option<Seen>,
    /// For each TOTP seed, wherever it is, the end of the last step whose code was given out, in seconds since
    /// 1970-01-01 UTC: no code of an earlier step goes out again (RFC 6238 section 5.2).
    pub(super) spent: BTreeMap<SeedKey, u64>,
    /// What was proved of its keyslots and backups.
    pub(super) proofs: Proofs,
}

impl Machine {
    /// `[version, seen or null, {seed: seconds}, proofs]`.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.write(&mut Encoder::new(&mut bytes))
            .map_err(|_in_memory| Error::Failed("the state cannot be encoded"))?;
        Ok(bytes)
    }

    fn write(
        &self,
        out: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.array(4)?.u8(2)?;
        match &self.seen {
            Some(seen) => out.bytes(&seen.encode())?,
            None => out.null()?,
        };
        out.map(self.spent.len() as u64)?;
        for (seed, until) in &self.spent {
            out.bytes(seed.as_bytes())?.u64(*until)?;
        }
        self.proofs.write(out)
    }

    /// Reads what [`Self::encode`] wrote. `None`: it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        // Version 1 had no proofs.
        let has_proofs = match (from.array().ok()?, from.u8().ok()?) {
            (Some(3), 1) => false,
            (Some(4), 2) => true,
            _ => return None,
        };
        let seen = if from.datatype().ok()? == minicbor::data::Type::Null {
            from.null().ok()?;
            None
        } else {
            Some(Seen::decode(from.bytes().ok()?).ok()?)
        };
        let seeds = from.map().ok()?.filter(|seeds| *seeds <= MOST_SEEDS)?;
        let mut spent = BTreeMap::new();
        for _ in 0..seeds {
            let key = SeedKey::from_bytes(from.bytes().ok()?.try_into().ok()?);
            spent.insert(key, from.u64().ok()?);
        }
        let proofs = if has_proofs { Proofs::read(&mut from)? } else { Proofs::default() };
        (from.position() == bytes.len()).then_some(Self { seen, spent, proofs })
    }

    /// Counts a step as spent, unless it or a later one is; `now` in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`Error::ClockJumped`]
    pub(super) fn spend(&mut self, seed: SeedKey, until: u64, now: u64) -> Result<(), Error> {
        let spent = self.spent.get(&seed).copied().unwrap_or(0);
        if until <= spent {
            return Err(Error::ClockJumped(spent.saturating_sub(now)));
        }
        self.spent.insert(seed, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_spent_once_and_so_are_those_before_it() {
        let seed = |byte| SeedKey::from_bytes([byte; 16]);
        let mut machine = Machine::default();
        machine.spend(seed(1), 60, 45).unwrap();
        assert!(matches!(machine.spend(seed(1), 60, 50), Err(Error::ClockJumped(10))));
        assert!(matches!(machine.spend(seed(1), 30, 20), Err(Error::ClockJumped(40))));
        machine.spend(seed(2), 30, 20).unwrap();
        machine.spend(seed(1), 90, 61).unwrap();
        let bytes = machine.encode().unwrap();
        assert_eq!(Machine::decode(&bytes), Some(machine));
        assert_eq!(
            Machine::decode(&[0x83, 1, 0xf6, 0xa0]),
            Some(Machine::default()),
            "of before there were proofs"
        );
        assert_eq!(Machine::decode(&[0x83, 2, 0xf6, 0xa0]), None);
    }
}
