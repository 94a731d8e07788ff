//! The OTP application over the feature reports of the token's keyboard (yubikey-personalization, `ykdef.h`): a frame
//! of 70 bytes goes in ten reports, each with seven of its bytes and a number; answers come the same way.

use super::{CHALLENGE, MALFORMED, NO_KEY, Otp, OtpSlot, OtpStatus, RESPONSE, SERIAL, padded};
use crate::channel::{ChannelError, FEATURE_REPORT, FeatureReports, Patience};
use crate::piv::PivError;
use crate::secret::TokenSecret;
use zeroize::Zeroizing;

// The last byte of a report: what it is, and its number.
/// To the token: part of a frame. From it: the last part was not taken in yet.
const WRITE: u8 = 0x80;
/// From the token: part of an answer.
const ANSWER: u8 = 0x40;
/// From the token: it waits to be touched.
const WAITING: u8 = 0x20;
const NUMBER: u8 = 0x1f;
/// To the token: forget the answer, and whatever you wait for.
const FORGET: u8 = 0xff;

/// Bytes of a frame in one report.
const PART: usize = FEATURE_REPORT - 1;
/// Reports of a frame, and of the longest answer.
const PARTS: usize = 10;
/// How often an answer is seen before it counts as left behind.
const LEFT_UNREAD: usize = 20;
/// CRC-16 over data and its own complement (ISO/IEC 13239).
const CRC_OK: u16 = 0xf0b8;

/// The OTP application of a keyboard.
pub struct OtpReports<'r> {
    reports: &'r mut dyn FeatureReports,
    patience: &'r Patience,
    status: OtpStatus,
}

impl<'r> OtpReports<'r> {
    /// Reads the status. What another program waits for is waited for; an answer that nobody reads is dropped.
    ///
    /// # Errors
    /// [`PivError::Channel`].
    pub fn open(reports: &'r mut dyn FeatureReports, patience: &'r Patience) -> Result<Self, PivError> {
        let mut unread = 0..LEFT_UNREAD;
        let status = loop {
            match reports.get()? {
                [_, status @ .., 0] => break status,
                [.., flags] if flags & ANSWER != 0 && unread.next().is_none() => reports.set(forget())?,
                _ => {}
            }
            reports.pause(patience)?;
        };
        Ok(Self { reports, patience, status: OtpStatus::read(&status)? })
    }

    /// One command: so many bytes of its answer, and whether the token waited for a touch. None: there is no answer.
    fn ask(
        &mut self,
        command: u8,
        payload: &[u8; CHALLENGE],
        length: usize,
    ) -> Result<Result<Zeroizing<Vec<u8>>, Mute>, PivError> {
        let result = self.send(command, payload).and_then(|()| self.receive());
        // However it ended: the token must not go on blinking, nor keep its answer for the next program.
        let forgotten = self.reports.set(forget());
        let answer = match result? {
            Ok(answer) => answer,
            Err(mute) => return Ok(Err(mute)),
        };
        forgotten?;
        let checked = answer.get(..length.saturating_add(2)).ok_or(MALFORMED)?;
        if crc(checked) != CRC_OK {
            return Err(PivError::Malformed("an OTP answer with a wrong checksum"));
        }
        Ok(Ok(Zeroizing::new(checked.get(..length).unwrap_or_default().to_vec())))
    }

    fn send(&mut self, command: u8, payload: &[u8; CHALLENGE]) -> Result<(), PivError> {
        let frame = frame(command, payload);
        for (number, part) in (0_u8..).zip(frame.chunks(PART)) {
            // All zeros need not be said, except first and last.
            if usize::from(number) != 0
                && usize::from(number) != PARTS - 1
                && part.iter().all(|byte| *byte == 0)
            {
                continue;
            }
            let mut report = [0; FEATURE_REPORT];
            report.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            let [.., last] = &mut report;
            *last = WRITE | number;
            while self.flags()? & WRITE != 0 {
                self.reports.pause(self.patience)?;
            }
            self.reports.set(report)?;
        }
        Ok(())
    }

    fn flags(&mut self) -> Result<u8, ChannelError> {
        let [.., flags] = self.reports.get()?;
        Ok(flags)
    }

    fn receive(&mut self) -> Result<Result<Zeroizing<Vec<u8>>, Mute>, PivError> {
        // The whole room first: a vector that grows later would leave a secret behind unwiped.
        let mut answer = Zeroizing::new(Vec::with_capacity(PARTS * PART));
        let mut waited = false;
        loop {
            let report = Zeroizing::new(self.reports.get()?);
            let [part @ .., flags] = *report;
            let next = answer.len() / PART;
            if flags & ANSWER != 0 {
                let number = usize::from(flags & NUMBER);
                if number == next && next < PARTS {
                    answer.extend_from_slice(&part);
                    continue;
                }
                if number == 0 {
                    return Ok(Ok(answer));
                }
                if number != next.saturating_sub(1) {
                    return Err(PivError::Malformed("parts of an OTP answer out of turn"));
                }
            } else if flags == 0 {
                return match next {
                    0 if waited => Ok(Err(Mute::Untouched)),
                    0 => Ok(Err(Mute::Refused)),
                    _ => Err(PivError::Malformed("an OTP answer that breaks off")),
                };
            } else {
                waited |= flags & WAITING != 0;
            }
            self.reports.pause(self.patience)?;
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mute {
    Refused,
    Untouched,
}

impl Otp for OtpReports<'_> {
    fn status(&self) -> OtpStatus {
        self.status
    }

    fn serial(&mut self) -> Result<Option<u32>, PivError> {
        let Ok(answer) = self.ask(SERIAL, &[0; CHALLENGE], 4)? else { return Ok(None) };
        let serial = <[u8; 4]>::try_from(answer.as_slice()).map_err(|_length| MALFORMED)?;
        Ok(Some(u32::from_be_bytes(serial)))
    }

    fn challenge_response(&mut self, slot: OtpSlot, challenge: &[u8]) -> Result<TokenSecret, PivError> {
        match self.ask(slot.challenge(), &padded(challenge)?, RESPONSE)? {
            Ok(answer) => Ok(TokenSecret::copy_from(&answer)),
            Err(Mute::Refused) => Err(NO_KEY),
            Err(Mute::Untouched) => Err(PivError::NotVerified),
        }
    }
}

const fn forget() -> [u8; FEATURE_REPORT] {
    [0, 0, 0, 0, 0, 0, 0, FORGET]
}

/// Payload, command, checksum (little-endian), and three bytes of nothing.
fn frame(command: u8, payload: &[u8; CHALLENGE]) -> Vec<u8> {
    let [low, high] = crc(payload).to_le_bytes();
    [payload.as_slice(), &[command, low, high, 0, 0, 0]].concat()
}

/// CRC-16 of ISO/IEC 13239, bit by bit.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte),
            |crc, _bit| {
                if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests;
