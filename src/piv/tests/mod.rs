//! A card that follows a script: bytes in, bytes out.
#![expect(clippy::arithmetic_side_effects, reason = "a test that cannot go on fails")]

mod garbage;
mod management;
mod oath;
mod piv;

use crate::channel::{After, Cancel, Card, ChannelError, Patience};
use crate::crypto::hash::hex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A certificate that openssl made for a P-256 key.
pub(super) const P256_CERTIFICATE: &str = "308201743082011ba00302010202141551b80f460a2d34049601134ed0525c3cf98455300a06082a8648ce3d040302300f31\
     0d300b06035504030c04736c6f743020170d3236313132343034343333315a180f32313236313033313034343333315a300f\
     310d300b06035504030c04736c6f743059301306072a8648ce3d020106082a8648ce3d03010703420004d031a8dddfaaaf9f\
     ff455461f14565d97e6925344a9740a9fd9f418b87c4e343b93168c20436c7ace0c284547a1575d2f16e5ae8f3611105dbe3\
     a1df560c0198a3533051301d0603551d0e04160414a67e8081e16bde73cd93f32e1dc6708e64571af3301f0603551d230418\
     30168014a67e8081e16bde73cd93f32e1dc6708e64571af3300f0603551d130101ff040530030101ff300a06082a8648ce3d\
     040302034700304402200f6bee0861c50b8932a9409599bb00c308a2f07aea22534500c6e337dd6fbd74022038a014e66ea4\
     dd4b6187e0175f7d23bac1da765ea7d6664dd1420d158a113bf3";
/// The key in it.
pub(super) const P256_POINT: &str = "04d031a8dddfaaaf9fff455461f14565d97e6925344a9740a9fd9f418b87c4e343b93168c20436c7ace0c284547a1575d2f1\
     6e5ae8f3611105dbe3a1df560c0198";
/// The private half of that key.
pub(super) const P256_SCALAR: &str = "ec311bcacadade3971bc595367432006de565ac8f4ffca0240ac7f05edfa7afc";
/// SELECT of the PIV application, and an answer.
pub(super) const SELECT: (&str, &str) =
    ("00a404000ba00000030800001000010000", "61114f0600001000010079074f05a0000003089000");

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

pub(super) fn patience() -> Patience {
    let deadline = Instant::now() + Duration::from_mins(1);
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

    /// As [`Self::new`], with the SELECT of PIV before.
    pub(super) fn piv(lines: &[(&str, &str)]) -> Self {
        Self::new(&[&[SELECT], lines].concat())
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
