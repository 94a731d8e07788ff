//! From record to record, with all that is known beside them.

use super::{Known, REKEYED, Stop, fault};
use crate::audit::chain::Chain;
use crate::audit::record::{Anchor, Lost, Opening, before_mac, unhex};
use crate::audit::session::Ratchet;

enum Keys {
    /// Records carry no MAC: the vault is locked.
    Closed,
    /// They carry MACs under other keys than this vault's.
    Foreign,
    /// The key of the next record.
    Here(Ratchet),
}

pub(super) struct Walk<'a> {
    known: &'a Known,
    written: Option<Anchor>,
    chain: Chain,
    keys: Keys,
    pub(super) first: u64,
    pub(super) verified: u64,
    pub(super) unverified: u64,
    /// What records say was lost, as early as any of them says.
    pub(super) lost: Option<Lost>,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(known: &'a Known, written: Option<Anchor>) -> Self {
        let (chain, keys) = (Chain::unknown(), Keys::Closed);
        Self { known, written, chain, keys, first: 0, verified: 0, unverified: 0, lost: None }
    }

    /// The last record that was believed.
    pub(super) fn place(&self) -> Anchor {
        self.chain.place()
    }

    pub(super) fn take(&mut self, line: &[u8], begins: bool) -> Result<(), Stop> {
        let number = self.chain.next();
        let record = self.chain.take(line, begins).map_err(|text| fault(number, text))?;
        if self.first == 0 {
            self.first = record.seq;
        }
        self.check_mac(line, record.seq, record.key.as_ref(), record.mac.as_deref(), &record.entry.event)?;
        for (known, whose) in
            [(self.known.sealed, "the vault has sealed"), (self.written, "the daemon wrote")]
        {
            if known.is_some_and(|known| known.seq == record.seq && known != self.chain.place()) {
                return Err(fault(record.seq, format!("this is not the record that {whose}")));
            }
        }
        if let Some(lost) = record.entry.lost
            && self.lost.as_ref().is_none_or(|known| lost.from < known.from)
        {
            self.lost = Some(lost);
        }
        Ok(())
    }

    fn check_mac(
        &mut self,
        line: &[u8],
        seq: u64,
        opening: Option<&Opening>,
        mac: Option<&str>,
        event: &str,
    ) -> Result<(), Stop> {
        let session = self.known.session.upgrade();
        if let Some(opening) = opening {
            let salt = unhex(&opening.salt).ok_or_else(|| fault(seq, "this is no record"))?;
            self.keys = match &session {
                Some(session) if session.can_check(opening) => Keys::Here(session.ratchet(&salt)),
                // Old keys are gone with the vault that had them. What was written under them is vouched for by
                // what the vault has sealed since, and only as far as that goes.
                Some(session) => {
                    let sealed = self.known.sealed.is_some_and(|sealed| seq <= sealed.seq);
                    let never_came = event == REKEYED && session.is_before(opening);
                    if !sealed && !never_came {
                        return Err(fault(seq, "its MAC is by a key that this vault does not have"));
                    }
                    Keys::Foreign
                }
                None => Keys::Foreign,
            };
        }
        let Some(mac) = mac else {
            if opening.is_some() {
                return Err(fault(seq, "its MAC is missing"));
            }
            self.keys = Keys::Closed;
            return Ok(());
        };
        match &mut self.keys {
            Keys::Closed => Err(fault(seq, "it carries a MAC, and the record that began them is not there")),
            Keys::Foreign => {
                if session.is_some()
                    && self.known.sealed.is_none_or(|sealed| seq > sealed.seq)
                    && opening.is_none()
                {
                    return Err(fault(seq, "its MAC is by a key that this vault does not have"));
                }
                self.unverified = self.unverified.saturating_add(1);
                Ok(())
            }
            Keys::Here(ratchet) => {
                let good =
                    before_mac(line).zip(unhex(mac)).is_some_and(|(body, mac)| ratchet.verify(body, &mac));
                // Keys that were begun twice for one epoch, because the first change of keys came to nothing: what the
                // vault has sealed since vouches for the first ones, as for all that are gone.
                let gone = opening.is_some() && self.known.sealed.is_some_and(|sealed| seq <= sealed.seq);
                if !good && gone {
                    self.keys = Keys::Foreign;
                    self.unverified = self.unverified.saturating_add(1);
                    return Ok(());
                }
                if !good {
                    return Err(fault(seq, "its MAC is wrong: somebody without the vault's key wrote it"));
                }
                self.verified = self.verified.saturating_add(1);
                Ok(())
            }
        }
    }

    /// Whether it goes as far as others remember.
    pub(super) fn end(&self) -> Result<(), Stop> {
        let last = self.chain.place().seq;
        for (known, whose) in
            [(self.known.sealed, "the vault has sealed"), (self.written, "the daemon wrote")]
        {
            if let Some(known) = known.filter(|known| known.seq > last) {
                let next = last.saturating_add(1);
                return Err(fault(next, format!("records are missing: {whose} {} of them", known.seq)));
            }
            if let Some(known) =
                known.filter(|known| known.seq > 0 && known.seq.saturating_add(1) < self.first)
            {
                return Err(fault(known.seq, format!("this record, which {whose}, is not there")));
            }
        }
        Ok(())
    }
}
