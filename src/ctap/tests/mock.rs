//! A token at the `Channel` seam: hands out channel ids, and answers each message as its test says.

use crate::channel::{Cancel, Channel, ChannelError, Patience};
use crate::ctap::hid::{Event, Message, Reassembler, encode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(in crate::ctap) const INIT: u8 = 0x06;
pub(in crate::ctap) const CBOR: u8 = 0x10;
pub(in crate::ctap) const CANCEL: u8 = 0x11;
pub(in crate::ctap) const KEEPALIVE: u8 = 0x3b;
pub(in crate::ctap) const ERROR: u8 = 0x3f;
pub(in crate::ctap) const BROADCAST: u32 = 0xffff_ffff;

/// One thing that comes from the token.
#[derive(Clone)]
pub(in crate::ctap) enum Step {
    /// A message on the channel in use.
    Ours(u8, Vec<u8>),
    /// A message on another one.
    On(u32, u8, Vec<u8>),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// The same message on the channel in use, for ever.
    Endless(u8, Vec<u8>),
    /// The channel fails.
    Fail(ChannelError),
}

pub(in crate::ctap) type Answer = Box<dyn FnMut(&Message) -> Vec<Step> + Send>;

/// All messages sent to a [`Mock`], with their channel ids.
pub(in crate::ctap) type Sent = Arc<Mutex<Vec<(u32, u8, Vec<u8>)>>>;

pub(in crate::ctap) struct Mock {
    answer: Answer,
    /// Reports that arrive before the answer to `CTAPHID_INIT`.
    pub(in crate::ctap) before_init: Vec<Step>,
    pub(in crate::ctap) capabilities: u8,
    out: VecDeque<Step>,
    incoming: Option<Reassembler>,
    cid: u32,
    pub(in crate::ctap) sent: Sent,
}

impl Mock {
    pub(in crate::ctap) fn new(answer: impl FnMut(&Message) -> Vec<Step> + Send + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            before_init: Vec::new(),
            capabilities: 0x0c,
            out: VecDeque::new(),
            incoming: None,
            cid: 0x0100_0000,
            sent: Sent::default(),
        }
    }

    fn init(&mut self, nonce: &[u8]) {
        self.cid += 1;
        let mut reply = nonce.to_vec();
        reply.extend(self.cid.to_be_bytes());
        reply.extend([2, 5, 4, 3, self.capabilities]);
        self.out.extend(self.before_init.clone());
        self.out.push_back(Step::On(BROADCAST, INIT, reply));
    }

    fn push_front(&mut self, cid: u32, command: u8, payload: &[u8]) -> Vec<u8> {
        let mut reports = encode(cid, command, payload).unwrap().into_iter().map(|report| report.to_vec());
        let first = reports.next().unwrap();
        for report in reports.rev() {
            self.out.push_front(Step::Raw(report));
        }
        first
    }
}

impl Channel for Mock {
    fn send(&mut self, frame: &[u8]) -> Result<(), ChannelError> {
        let cid = u32::from_be_bytes(frame[..4].try_into().unwrap());
        let incoming = self.incoming.get_or_insert_with(|| Reassembler::new(cid));
        let Event::Complete(message) = incoming.feed(frame).unwrap() else { return Ok(()) };
        self.incoming = None;
        self.sent.lock().unwrap().push((cid, message.command, message.payload.clone()));
        if message.command == INIT {
            self.init(&message.payload);
        } else {
            self.out.extend((self.answer)(&message));
        }
        Ok(())
    }

    fn receive(&mut self, _patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        match self.out.pop_front() {
            Some(Step::Ours(command, payload)) => Ok(self.push_front(self.cid, command, &payload)),
            Some(Step::On(cid, command, payload)) => Ok(self.push_front(cid, command, &payload)),
            Some(Step::Raw(report)) => Ok(report),
            Some(Step::Endless(command, payload)) => {
                self.out.push_front(Step::Endless(command, payload.clone()));
                Ok(self.push_front(self.cid, command, &payload))
            }
            Some(Step::Fail(error)) => Err(error),
            // Silence: nothing more will come before the deadline.
            None => Err(ChannelError::TimedOut),
        }
    }
}

pub(in crate::ctap) fn patience() -> Patience {
    Patience { deadline: Instant::now() + Duration::from_hours(1), cancel: Cancel::new().unwrap() }
}
