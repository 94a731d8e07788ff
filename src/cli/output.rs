//! What goes to standard output and standard error. The result goes to the one, a sentence to the other.

use crate::cli::error::Error;
use serde::Serialize;
use std::io::Write as _;

/// Text of others, fit for a terminal: nothing in it can move the cursor, hide or reorder what is shown.
pub(super) fn plain(text: &str) -> String {
    let fit = |character: char| match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        _ if is_plain(character) => character,
        _ => '\u{fffd}',
    };
    text.chars().map(fit).collect()
}

/// Whether a character only shows itself.
fn is_plain(character: char) -> bool {
    // Line ends of other kinds, bidirectional and invisible formatting characters.
    let formats = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    !formats && !character.is_control()
}

/// The one sentence of a command that failed.
pub(super) fn complain(sentence: &str) {
    note(&format!("rootseal: {sentence}"));
}

/// A line on standard error.
pub(super) fn note(line: &str) {
    // There is nobody left to tell that standard error is closed.
    let _closed = writeln!(std::io::stderr().lock(), "{}", plain(line));
}

/// A line on standard error, for a person only.
pub(super) fn confirm(line: &str) {
    if rustix::termios::isatty(std::io::stderr()) {
        note(line);
    }
}

/// A secret result and a newline; no copy of it stays in a buffer of the standard library.
pub(super) fn secret(bytes: &[u8]) -> Result<(), Error> {
    let out = std::io::stdout();
    let mut line = zeroize::Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(1)));
    line.extend_from_slice(bytes.trim_ascii_end());
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(&out, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::Stdout(errno.into())),
        }
    }
    Ok(())
}

/// Lines of a result.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", plain(&line)).map_err(Error::Stdout)?;
    }
    out.flush().map_err(Error::Stdout)
}

/// A result as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Protocol(error.to_string()))?;
    let text = escaped(&text);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// JSON whose texts drive no terminal. What a JSON writer leaves as it is can only stand in a string.
fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_plain(character) || character == '\n' {
            safe.push(character);
        } else {
            let mut units = [0; 2];
            safe.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    safe
}

/// A listing: JSON if asked for, else aligned columns under `heads`.
pub(super) fn listing<T: Serialize, const N: usize>(
    as_json: bool,
    rows: &[T],
    heads: [&str; N],
    columns: impl Fn(&T) -> [String; N],
) -> Result<(), Error> {
    if as_json {
        return json(&rows);
    }
    if rows.is_empty() {
        confirm("There is nothing to list.");
    }
    lines(table(heads, rows.iter().map(columns).collect()))
}

fn table<const N: usize>(heads: [&str; N], mut rows: Vec<[String; N]>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    rows.insert(0, heads.map(str::to_owned));
    let mut widths = [0_usize; N];
    for row in &mut rows {
        for (cell, width) in row.iter_mut().zip(&mut widths) {
            *cell = if cell.is_empty() { "-".to_owned() } else { plain(cell) };
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Seconds since 1970 as RFC 3339 in UTC (the civil-from-days algorithm for the proleptic Gregorian calendar).
pub(super) fn time(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970_u64;
    let mut days = days;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    loop {
        let length = if leap(year) { 366 } else { 365 };
        let Some(rest) = days.checked_sub(length) else { break };
        // Years beyond what RFC 3339 can write are no times of ours.
        if year >= 9999 {
            break;
        }
        days = rest;
        year = year.saturating_add(1);
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1_u64;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        let Some(rest) = days.checked_sub(length) else { break };
        days = rest;
        month = month.saturating_add(1);
    }
    let day = days.saturating_add(1);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// The clock.
pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |duration| duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_foreign_text_can_drive_a_terminal() {
        assert_eq!(
            plain("a\x1b[2Jb\r\nc\u{9b}31m\u{202e}d\x7f"),
            "a\u{fffd}[2Jb  c\u{fffd}31m\u{fffd}d\u{fffd}"
        );
        assert_eq!(plain("Schlüssel 🔑 (1234)"), "Schlüssel 🔑 (1234)");
    }

    #[test]
    fn nothing_in_json_can_drive_a_terminal_and_nothing_is_lost() {
        let text = "a\u{9b}31m\u{202e}\u{7f}\u{1b}[2J\u{feff}\u{2028}ü🔑";
        let json = escaped(&serde_json::to_string(text).unwrap());
        assert_eq!(json, "\"a\\u009b31m\\u202e\\u007f\\u001b[2J\\ufeff\\u2028ü🔑\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn times_are_written_as_people_know_them() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(time(4_107_542_400), "2100-03-01T00:00:00Z");
        assert!(time(u64::MAX).starts_with("9999-"));
    }

    #[test]
    fn columns_are_aligned_and_empty_cells_stay_visible() {
        let rows = vec![["a".to_owned(), String::new()], ["bbbb".to_owned(), "x\ny".to_owned()]];
        assert_eq!(table(["NAME", "B"], rows), ["NAME  B", "a     -", "bbbb  x y"]);
    }
}
