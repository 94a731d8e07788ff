//! Reports in and out (CTAP 2.1 section 11.2.4), without any I/O.

use crate::ctap::CtapError;

/// Bytes in one report.
pub const REPORT: usize = 64;
const INIT_DATA: usize = 57;
const CONTINUATION_DATA: usize = 59;
/// Bytes in the longest message: one initialization packet and 128 continuation packets.
pub const MAX_MESSAGE: usize = INIT_DATA + 128 * CONTINUATION_DATA;
const TYPE_INIT: u8 = 0x80;

pub(super) const CTAPHID_BROADCAST_CID: u32 = 0xffff_ffff;
pub(super) const CTAPHID_INIT: u8 = 0x06;
pub(super) const CTAPHID_CBOR: u8 = 0x10;
pub(super) const CTAPHID_CANCEL: u8 = 0x11;
pub(super) const CTAPHID_KEEPALIVE: u8 = 0x3b;
pub(super) const CTAPHID_ERROR: u8 = 0x3f;

/// The reports that carry `payload` on channel `cid`.
///
/// # Errors
/// [`CtapError::Unsupported`] if it is longer than [`MAX_MESSAGE`].
pub fn encode(cid: u32, command: u8, payload: &[u8]) -> Result<Vec<[u8; REPORT]>, CtapError> {
    const TOO_LONG: CtapError = CtapError::Unsupported("a request of this length");
    let length = u16::try_from(payload.len()).or(Err(TOO_LONG))?;
    let (first, rest) = payload.split_at_checked(INIT_DATA).unwrap_or((payload, &[]));
    let mut header = cid.to_be_bytes().to_vec();
    header.push(command | TYPE_INIT);
    header.extend(length.to_be_bytes());
    let mut reports = vec![report(&header, first)];
    for (index, data) in rest.chunks(CONTINUATION_DATA).enumerate() {
        let sequence =
            u8::try_from(index).ok().filter(|sequence| sequence & TYPE_INIT == 0).ok_or(TOO_LONG)?;
        let [a, b, c, d] = cid.to_be_bytes();
        reports.push(report(&[a, b, c, d, sequence], data));
    }
    Ok(reports)
}

fn report(header: &[u8], data: &[u8]) -> [u8; REPORT] {
    let mut report = [0; REPORT];
    for (to, from) in report.iter_mut().zip(header.iter().chain(data)) {
        *to = *from;
    }
    report
}

/// One whole message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The command it belongs to, without the bit that marks an initialization packet.
    pub command: u8,
    /// Its data.
    pub payload: Vec<u8>,
}

/// What one report meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It belongs to another program's channel.
    Foreign,
    /// More is to come.
    Partial,
    /// A message is complete.
    Complete(Message),
}

/// Puts the reports of one channel together again.
#[derive(Debug)]
pub struct Reassembler {
    cid: u32,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    message: Message,
    length: usize,
    sequence: u8,
}

impl Reassembler {
    /// For the messages of channel `cid`.
    pub fn new(cid: u32) -> Self {
        Self { cid, pending: None }
    }

    /// Takes the next report.
    ///
    /// # Errors
    /// [`CtapError::Malformed`]; the message so far is dropped.
    pub fn feed(&mut self, report: &[u8]) -> Result<Event, CtapError> {
        let (cid, kind, data) = match report {
            [a, b, c, d, kind, data @ ..] if report.len() == REPORT => {
                (u32::from_be_bytes([*a, *b, *c, *d]), *kind, data)
            }
            _ => return Err(CtapError::Malformed("a report that is not 64 bytes long")),
        };
        if cid != self.cid {
            return Ok(Event::Foreign);
        }
        let pending = match (self.pending.take(), data) {
            (None, [high, low, data @ ..]) if kind & TYPE_INIT != 0 => {
                Pending::start(kind & !TYPE_INIT, u16::from_be_bytes([*high, *low]), data)?
            }
            // Section 11.2.5.2: an error may cut an answer short; nothing else may.
            (Some(_), [high, low, data @ ..]) if kind == TYPE_INIT | CTAPHID_ERROR => {
                Pending::start(CTAPHID_ERROR, u16::from_be_bytes([*high, *low]), data)?
            }
            (Some(pending), _) if kind & TYPE_INIT == 0 => pending.go_on(kind, data)?,
            (Some(_), _) => return Err(CtapError::Malformed("a new message in the middle of another")),
            (None, _) => return Err(CtapError::Malformed("a continuation of no message")),
        };
        if pending.message.payload.len() == pending.length {
            return Ok(Event::Complete(pending.message));
        }
        self.pending = Some(pending);
        Ok(Event::Partial)
    }
}

impl Pending {
    fn start(command: u8, length: u16, data: &[u8]) -> Result<Self, CtapError> {
        let length = usize::from(length);
        if length > MAX_MESSAGE {
            return Err(CtapError::Malformed("a message longer than CTAPHID allows"));
        }
        let payload = data.iter().take(length).copied().collect();
        Ok(Self { message: Message { command, payload }, length, sequence: 0 })
    }

    fn go_on(mut self, sequence: u8, data: &[u8]) -> Result<Self, CtapError> {
        if sequence != self.sequence {
            return Err(CtapError::Malformed("a report out of sequence"));
        }
        // At most 0x7f comes in, because of the length checked in `start`.
        self.sequence = sequence.wrapping_add(1);
        let missing = self.length.saturating_sub(self.message.payload.len());
        self.message.payload.extend(data.iter().take(missing));
        Ok(self)
    }
}
