//! Following a chain from line to line.

use super::record::{Anchor, Entry, Record, unhex};
use std::io::{self, BufRead, Read as _};

/// No record is longer; what is, is none.
const LONGEST: u64 = 256 * 1024;

/// The chain up to some record.
pub(super) struct Chain {
    /// Not known before the first line of a file whose predecessors are not read.
    place: Option<Anchor>,
}

impl Chain {
    /// Of a file that is read by itself.
    pub(super) const fn unknown() -> Self {
        Self { place: None }
    }

    /// The last record, or the start where there is none.
    pub(super) fn place(&self) -> Anchor {
        self.place.unwrap_or(Anchor::START)
    }

    /// The number that the next record must have.
    pub(super) fn next(&self) -> u64 {
        self.place().seq.saturating_add(1)
    }

    /// Takes the next line, which may be the first of its file; refuses what does not follow.
    pub(super) fn take(&mut self, line: &[u8], begins: bool) -> Result<Record<Entry>, &'static str> {
        let record: Record<Entry> = serde_json::from_slice(line).map_err(|_detail| "this is no record")?;
        let prev = unhex(&record.prev).ok_or("this is no record")?;
        let before = match self.place {
            Some(place) => place,
            None if record.seq == 1 => Anchor::START,
            // Whoever cuts off the beginning of a file cannot say which one it goes on from.
            None if record.after.is_none() => return Err("records before this one were cut off"),
            None => Anchor { seq: record.seq.saturating_sub(1), head: prev },
        };
        if record.seq != before.seq.saturating_add(1) {
            return Err("records are missing or in another order");
        }
        if prev != before.head {
            return Err("the record before this one is not what it was");
        }
        if record.after.is_some() != (begins && before.seq > 0) {
            return Err("this is the first record of another file");
        }
        self.place = Some(before.after(line));
        Ok(record)
    }
}

/// Hands out the lines of a file, without their line feeds, until `take` says what is wrong. A last line that has no
/// end is left out; whether there was one is the result.
pub(super) fn lines<E: From<io::Error>>(
    mut reader: impl BufRead,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<bool, E> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(false);
        }
        if line.pop() != Some(b'\n') {
            if read as u64 == LONGEST {
                // No line of ours, so that it fails like any other that is none.
                take(b"")?;
            }
            return Ok(true);
        }
        take(&line)?;
    }
}
