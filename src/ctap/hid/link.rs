//! One program's logical channel to a token: a command goes out, its one reply comes back.

use super::packet::{
    CTAPHID_BROADCAST_CID, CTAPHID_CANCEL, CTAPHID_CBOR, CTAPHID_ERROR, CTAPHID_INIT, CTAPHID_KEEPALIVE,
    Event, Message, Reassembler, encode,
};
use crate::channel::{Cancel, Channel, ChannelError, Patience};
use crate::ctap::{CtapError, KeepAlive, Wait};
use std::time::{Duration, Instant};

/// Reports of other programs (all of them see all reports of a token) that one command skips. Far more
/// than a browser causes during the longest wait.
const MAX_FOREIGN: u32 = 4096;
/// How long a token may take to end a command that we cancelled.
const DRAIN: Duration = Duration::from_millis(500);
/// Section 11.2.9.1.3: the token implements `CTAPHID_CBOR`.
const CAPABILITY_CBOR: u8 = 0x04;
/// Section 11.2.9.1.5.
const STATUS_UPNEEDED: u8 = 0x02;
/// Section 11.2.9.1.6.
const ERR_CHANNEL_BUSY: u8 = 0x06;

pub(in crate::ctap) struct Link<C> {
    channel: C,
    cid: u32,
    capabilities: u8,
    /// A reply to an earlier command may still come on `cid`.
    stale: bool,
}

impl<C: Channel> Link<C> {
    pub(in crate::ctap) fn open(channel: C, patience: &Patience) -> Result<Self, CtapError> {
        let mut link = Self { channel, cid: CTAPHID_BROADCAST_CID, capabilities: 0, stale: true };
        link.allocate(patience)?;
        if link.capabilities & CAPABILITY_CBOR == 0 {
            return Err(CtapError::Unsupported("FIDO2"));
        }
        Ok(link)
    }

    /// Sends one CTAP2 command and returns its reply, status byte included.
    pub(in crate::ctap) fn cbor(
        &mut self,
        request: &[u8],
        wait: &mut Wait<'_>,
    ) -> Result<Vec<u8>, CtapError> {
        still_patient(wait.patience)?;
        if self.stale {
            // What is still to come for the old channel id is then skipped like any other program's.
            self.allocate(wait.patience)?;
        }
        self.stale = true;
        self.send(CTAPHID_CBOR, request)?;
        let reply = self.reply(wait);
        self.stale = !ended(&reply);
        if let Err(CtapError::Channel(ChannelError::TimedOut | ChannelError::Cancelled)) = reply {
            self.abandon();
        }
        reply
    }

    /// Section 11.2.9.1.3: asks for a channel id; the nonce tells our answer from other programs'.
    fn allocate(&mut self, patience: &Patience) -> Result<(), CtapError> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).or(Err(CtapError::Random))?;
        self.cid = CTAPHID_BROADCAST_CID;
        self.send(CTAPHID_INIT, &nonce)?;
        let mut reports = Reassembler::new(self.cid);
        for _ in 0..MAX_FOREIGN {
            let report = self.receive(patience)?;
            // A broken message on the broadcast channel may be another program's affair.
            let Ok(Event::Complete(message)) = reports.feed(&report) else { continue };
            match (message.command, message.payload.strip_prefix(&nonce)) {
                (CTAPHID_INIT, Some([a, b, c, d, _version, _major, _minor, _build, capabilities, ..])) => {
                    self.cid = u32::from_be_bytes([*a, *b, *c, *d]);
                    self.capabilities = *capabilities;
                    self.stale = false;
                    return match self.cid {
                        0 | CTAPHID_BROADCAST_CID => Err(CtapError::Malformed("a reserved channel id")),
                        _ => Ok(()),
                    };
                }
                (CTAPHID_ERROR, _) if message.payload == [ERR_CHANNEL_BUSY] => return Err(CtapError::Busy),
                _ => {}
            }
        }
        Err(CtapError::Malformed("no end of reports that answer nothing"))
    }

    fn reply(&mut self, wait: &mut Wait<'_>) -> Result<Vec<u8>, CtapError> {
        let mut reports = Reassembler::new(self.cid);
        let mut foreign = 0_u32;
        let mut state = None;
        loop {
            let report = self.receive(wait.patience)?;
            let Message { command, payload } = match reports.feed(&report)? {
                Event::Complete(message) => message,
                Event::Partial => continue,
                Event::Foreign if foreign < MAX_FOREIGN => {
                    foreign = foreign.saturating_add(1);
                    continue;
                }
                Event::Foreign => return Err(CtapError::Malformed("no end of reports that answer nothing")),
            };
            match (command, payload.as_slice()) {
                (CTAPHID_CBOR, _) => return Ok(payload),
                (CTAPHID_KEEPALIVE, [status]) => {
                    let now = match *status {
                        STATUS_UPNEEDED => KeepAlive::TouchNeeded,
                        _ => KeepAlive::Processing,
                    };
                    if state.replace(now) != Some(now) {
                        (wait.on_keepalive)(now);
                    }
                }
                (CTAPHID_ERROR, [ERR_CHANNEL_BUSY]) => return Err(CtapError::Busy),
                (CTAPHID_ERROR, [code]) => return Err(CtapError::Hid(*code)),
                _ => return Err(CtapError::Malformed("a reply to another command")),
            }
        }
    }

    /// Section 11.2.9.1.4: a cancelled command still ends with a reply, which the next command must not see.
    fn abandon(&mut self) {
        let (Ok(cancel), Some(deadline)) = (Cancel::new(), Instant::now().checked_add(DRAIN)) else { return };
        if self.send(CTAPHID_CANCEL, &[]).is_ok() {
            let patience = Patience { deadline, cancel };
            let last = self.reply(&mut Wait { patience: &patience, on_keepalive: &mut |_| {} });
            self.stale = !ended(&last);
        }
    }

    fn send(&mut self, command: u8, payload: &[u8]) -> Result<(), CtapError> {
        for report in encode(self.cid, command, payload)? {
            self.channel.send(&report)?;
        }
        Ok(())
    }

    /// A channel answers with what is there before it looks at the clock: a token that never stops talking
    /// must not make us wait for ever.
    fn receive(&mut self, patience: &Patience) -> Result<Vec<u8>, CtapError> {
        still_patient(patience)?;
        Ok(self.channel.receive(patience)?)
    }
}

/// Whether the token has said its last word on a command.
fn ended(reply: &Result<Vec<u8>, CtapError>) -> bool {
    matches!(reply, Ok(_) | Err(CtapError::Busy | CtapError::Hid(_)))
}

fn still_patient(patience: &Patience) -> Result<(), CtapError> {
    if patience.cancel.is_cancelled() {
        return Err(ChannelError::Cancelled.into());
    }
    if Instant::now() >= patience.deadline {
        return Err(ChannelError::TimedOut.into());
    }
    Ok(())
}
