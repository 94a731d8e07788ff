//! A card whose responses are the input: each is its length, two bytes big-endian, and so many bytes.

use rootseal::channel::{After, Cancel, Card, ChannelError, Patience};
use std::time::{Duration, Instant};

pub(crate) struct InputCard<'d> {
    pub(crate) left: &'d [u8],
    /// Whether selecting an application always works, and takes nothing of the input.
    pub(crate) selects: bool,
}

impl Card for InputCard<'_> {
    fn begin(&mut self, _patience: &Patience) -> Result<(), ChannelError> {
        Ok(())
    }

    fn transmit(&mut self, command: &[u8], _patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        if self.selects && command.get(1) == Some(&0xa4) {
            return Ok(vec![0x90, 0x00]);
        }
        let (length, rest) = self.left.split_first_chunk::<2>().ok_or(ChannelError::Gone)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (response, rest) = rest.split_at_checked(length).ok_or(ChannelError::Gone)?;
        self.left = rest;
        Ok(response.to_vec())
    }

    fn end(&mut self, _after: After) {}
}

pub(crate) fn patience() -> Option<Patience> {
    let deadline = Instant::now().checked_add(Duration::from_mins(1))?;
    Some(Patience { deadline, cancel: Cancel::new().ok()? })
}
