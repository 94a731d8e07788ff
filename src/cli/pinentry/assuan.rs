//! The Assuan protocol as pinentry speaks it, without I/O: lines of at most 1000 bytes, percent-escaped.
//!
//! As the manuals say: of libassuan, "Client requests" and "Server responses"; of pinentry, "Protocol".

use crate::secret::Pin;
use zeroize::Zeroizing;

/// With the line's end.
const LINE: usize = 1000;
/// No token takes a longer PIN (CTAP 2.1 section 6.5.1: 63 bytes).
const LONGEST: usize = 255;

/// A command, cut where the line would be too long.
pub(super) fn command(verb: &str, text: &str) -> String {
    let mut line = verb.to_owned();
    if !text.is_empty() {
        line.push(' ');
    }
    for character in text.chars() {
        let mut buffer = [0; 4];
        let escaped;
        let piece: &str = if character == '%' || character.is_ascii_control() {
            escaped = format!("%{:02X}", u32::from(character));
            &escaped
        } else {
            character.encode_utf8(&mut buffer)
        };
        if line.len().saturating_add(piece.len()) >= LINE {
            break;
        }
        line.push_str(piece);
    }
    line.push('\n');
    line
}

/// How a command ended.
pub(super) enum Reply {
    /// With what was typed, if something was asked for.
    Done(Option<Pin>),
    /// Somebody said no.
    Cancelled,
    /// In the server's words.
    Failed(String),
}

/// What no server that speaks this protocol says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// What has come, up to the end of a reply. The room is wiped, and never moves.
pub(super) struct Reader {
    line: Box<Zeroizing<[u8; LINE]>>,
    filled: usize,
    data: Box<Zeroizing<[u8; LONGEST]>>,
    /// How much of the data is there; `None`: there was no such line.
    length: Option<usize>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            line: Box::new(Zeroizing::new([0; LINE])),
            filled: 0,
            data: Box::new(Zeroizing::new([0; LONGEST])),
            length: None,
        }
    }

    /// Where to read to: never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.line.get_mut(self.filled..).unwrap_or_default()
    }

    /// So much was read.
    pub(super) fn filled(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(LINE);
    }

    /// The end of a reply, if it has come.
    pub(super) fn reply(&mut self) -> Result<Option<Reply>, Nonsense> {
        while let Some(end) =
            self.line.get(..self.filled).and_then(|line| line.iter().position(|b| *b == b'\n'))
        {
            let found = self.one(end);
            let next = end.saturating_add(1);
            self.line.copy_within(next.min(self.filled)..self.filled, 0);
            self.filled = self.filled.saturating_sub(next);
            self.line.get_mut(self.filled..).unwrap_or_default().fill(0);
            if let Some(reply) = found? {
                return Ok(Some(reply));
            }
        }
        if self.filled == LINE { Err(Nonsense) } else { Ok(None) }
    }

    /// The line up to `end`; `None`: the reply goes on.
    fn one(&mut self, end: usize) -> Result<Option<Reply>, Nonsense> {
        let line = self.line.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => line.split_at_checked(space).unwrap_or_default(),
            None => (line, &[][..]),
        };
        let rest = rest.get(1..).unwrap_or_default();
        match word {
            b"OK" => Ok(Some(Reply::Done(self.take()))),
            b"ERR" => {
                let failed = failed(rest);
                self.take();
                failed.map(Some)
            }
            b"D" => {
                let mut length = self.length.unwrap_or(0);
                unescape(rest, &mut self.data[..], &mut length)?;
                self.length = Some(length);
                Ok(None)
            }
            // Status and comments are for others.
            b"S" => Ok(None),
            word if word.starts_with(b"#") => Ok(None),
            _ => Err(Nonsense),
        }
    }

    fn take(&mut self) -> Option<Pin> {
        let length = self.length.take()?;
        let pin = Pin::copy_from(self.data.get(..length).unwrap_or_default());
        self.data.fill(0);
        Some(pin)
    }
}

fn unescape(escaped: &[u8], into: &mut [u8], length: &mut usize) -> Result<(), Nonsense> {
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(*digit).to_digit(16)).ok_or(Nonsense);
            let (high, low) = (digit()?, digit()?);
            u8::try_from((high << 4) | low).map_err(|_two_digits| Nonsense)?
        } else {
            *byte
        };
        *into.get_mut(*length).ok_or(Nonsense)? = byte;
        *length = length.saturating_add(1);
    }
    Ok(())
}

/// `CODE words`: the lower 16 bits are libgpg-error's.
fn failed(rest: &[u8]) -> Result<Reply, Nonsense> {
    const TIMEOUT: u32 = 62;
    const CANCELED: u32 = 99;
    const NOT_CONFIRMED: u32 = 114;
    const FULLY_CANCELED: u32 = 198;
    let text = String::from_utf8_lossy(rest);
    let (code, words) = text.split_once(' ').unwrap_or((&text, ""));
    let code: u32 = code.parse().map_err(|_no_number| Nonsense)?;
    Ok(match code & 0xffff {
        // pinentry-curses says timeout where Escape was pressed.
        TIMEOUT | CANCELED | NOT_CONFIRMED | FULLY_CANCELED => Reply::Cancelled,
        _ => Reply::Failed(if words.is_empty() { format!("error {code}") } else { words.to_owned() }),
    })
}

#[cfg(test)]
mod tests;
