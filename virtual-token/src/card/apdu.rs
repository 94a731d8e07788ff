//! Command and response APDUs (ISO 7816-4, section 5), short and extended, and the status words.

/// Command chaining: more of this command follows (ISO 7816-4, section 5.1.1.1).
pub const CHAINED: u8 = 0x10;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Data, of any length.
    pub data: Vec<u8>,
    /// How many bytes the answer may have.
    pub room: usize,
}

/// Why a command has no answer: its status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// Done.
    pub const OK: Self = Self(0x9000);
    /// The memory failed.
    pub const MEMORY: Self = Self(0x6581);
    /// The length is wrong.
    pub const LENGTH: Self = Self(0x6700);
    /// The last command of the chain is missing.
    pub const CHAIN: Self = Self(0x6883);
    /// PIN, key or touch is missing.
    pub const SECURITY: Self = Self(0x6982);
    /// Nothing to give.
    pub const CONDITIONS: Self = Self(0x6985);
    /// The data makes no sense.
    pub const DATA: Self = Self(0x6A80);
    /// This is not supported.
    pub const FUNCTION: Self = Self(0x6A81);
    /// No such application or object.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// No room.
    pub const FULL: Self = Self(0x6A84);
    /// P1 or P2 is wrong.
    pub const PARAMETERS: Self = Self(0x6A86);
    /// No such key.
    pub const REFERENCE: Self = Self(0x6A88);
    /// The instruction is not known.
    pub const INSTRUCTION: Self = Self(0x6D00);
}

/// What an application answers.
pub type Answer = Result<Vec<u8>, Status>;

/// More than any command needs, and an end to every chain.
const MAX_DATA: usize = 8192;

impl Command {
    /// Reads one APDU.
    ///
    /// # Errors
    /// [`Status::LENGTH`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Status> {
        let (&[cla, ins, p1, p2], body) = bytes.split_first_chunk().ok_or(Status::LENGTH)?;
        let (data, room) = body_of(body).ok_or(Status::LENGTH)?;
        Ok(Self { cla, ins, p1, p2, data: data.to_vec(), room })
    }

    /// The same command as the next one of a chain, without the mark of a chain.
    #[must_use]
    pub fn join(mut self, before: Vec<u8>) -> Self {
        self.cla &= !CHAINED;
        self.data = [before, self.data].concat();
        self
    }

    /// Whether it is longer than any command that makes sense.
    pub fn is_too_long(&self) -> bool {
        self.data.len() > MAX_DATA
    }
}

/// Data and the room for the answer, of the seven cases of ISO 7816-4, section 5.1.
fn body_of(body: &[u8]) -> Option<(&[u8], usize)> {
    let short = |le: u8| if le == 0 { 256 } else { usize::from(le) };
    let long = |le: [u8; 2]| if le == [0, 0] { 65536 } else { usize::from(u16::from_be_bytes(le)) };
    match body {
        [] => Some((&[], 256)),
        [le] => Some((&[], short(*le))),
        [0, a, b] => Some((&[], long([*a, *b]))),
        [0, a, b, rest @ ..] => {
            let (data, le) = rest.split_at_checked(u16::from_be_bytes([*a, *b]).into())?;
            match le {
                [] => Some((data, 65536)),
                [a, b] => Some((data, long([*a, *b]))),
                _ => None,
            }
        }
        [lc, rest @ ..] => {
            let (data, le) = rest.split_at_checked((*lc).into())?;
            match le {
                [] if *lc > 0 => Some((data, 256)),
                [le] if *lc > 0 => Some((data, short(*le))),
                _ => None,
            }
        }
    }
}

/// A response APDU.
pub fn response(mut data: Vec<u8>, status: Status) -> Vec<u8> {
    data.extend(status.0.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seven_cases_are_read() {
        let long = [&[0, 0xCB, 0x3F, 0xFF, 0, 1, 44][..], &[7; 300]].concat();
        let long_le = [&long[..], &[1, 0]].concat();
        for (bytes, data, room) in [
            (&[0, 1, 2, 3][..], &[][..], 256),
            (&[0, 1, 2, 3, 0], &[], 256),
            (&[0, 1, 2, 3, 8], &[], 8),
            (&[0, 1, 2, 3, 0, 0, 0], &[], 65536),
            (&[0, 1, 2, 3, 2, 8, 9], &[8, 9], 256),
            (&[0, 1, 2, 3, 2, 8, 9, 5], &[8, 9], 5),
            (&long, &[7; 300], 65536),
            (&long_le, &[7; 300], 256),
        ] {
            let command = Command::parse(bytes).unwrap();
            assert_eq!((&command.data[..], command.room), (data, room), "{bytes:02x?}");
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        for bytes in [
            &[][..],
            &[0, 1, 2],
            &[0, 1, 2, 3, 0, 1],
            &[0, 1, 2, 3, 2, 8],
            &[0, 1, 2, 3, 1, 8, 9, 9],
            &[0, 1, 2, 3, 0, 0, 2, 8],
            &[0, 1, 2, 3, 0, 0, 1, 8, 9],
        ] {
            assert_eq!(Command::parse(bytes), Err(Status::LENGTH), "{bytes:02x?}");
        }
    }
}
