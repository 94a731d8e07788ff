//! A card that follows a script: bytes in, bytes out.

use crate::channel::{After, Cancel, Card, ChannelError, Patience};
use crate::crypto::hash::hex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

pub(super) fn patience() -> Patience {
    let deadline = Instant::now() + Duration::from_secs(60);
    Patience { deadline, cancel: Cancel::new().unwrap() }
}

/// Answers each command of the list as it says, in order; then it is gone.
#[derive(Default)]
pub(super) struct Script {
    lines: VecDeque<(String, Vec<u8>)>,
    repeat: Option<Vec<u8>>,
    pub(super) ended: Vec<After>,
}

impl Script {
    /// Commands (a `*` at the end stands for anything) and responses, in hexadecimal.
    pub(super) fn new(lines: &[(&str, &str)]) -> Self {
        let lines =
            lines.iter().map(|(command, response)| ((*command).to_owned(), unhex(response))).collect();
        Self { lines, ..Self::default() }
    }

    /// Answers whatever comes with the same.
    pub(super) fn repeating(response: &str) -> Self {
        Self { repeat: Some(unhex(response)), ..Self::default() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.lines.is_empty()
    }
}

impl Card for Script {
    fn begin(&mut self, _patience: &Patience) -> Result<(), ChannelError> {
        Ok(())
    }

    fn transmit(&mut self, command: &[u8], _patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        if let Some(response) = &self.repeat {
            return Ok(response.clone());
        }
        let (expected, response) = self.lines.pop_front().ok_or(ChannelError::Gone)?;
        let command = hex(command);
        match expected.strip_suffix('*') {
            Some(start) => assert!(command.starts_with(start), "{command} is not {expected}"),
            None => assert_eq!(command, expected),
        }
        Ok(response)
    }

    fn end(&mut self, after: After) {
        self.ended.push(after);
    }
}
