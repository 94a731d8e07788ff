//! What `audit` takes.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditCommand {
    /// Show the records
    #[command(after_help = "Example: rootseal audit show --since 2026-01-31 --outcome refused")]
    Show {
        #[command(flatten)]
        filter: AuditFilter,
    },
    /// Verify the whole log; the first bad record is named. Unlock first: what is verified then is more
    Verify,
    /// Write all records, and what the verification came to, to a new file
    #[command(after_help = "Example: rootseal audit export audit-2026.jsonl")]
    Export {
        /// The file, which must not be there
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(in crate::cli) struct AuditFilter {
    /// From then on: 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(in crate::cli) since: Option<u64>,
    /// Up to then, the day or second included
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(in crate::cli) until: Option<u64>,
    /// Of this event, such as session or unlock
    #[arg(long, value_name = "EVENT")]
    pub(in crate::cli) event: Option<String>,
    /// Of this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = ["granted", "refused", "failed"])]
    pub(in crate::cli) outcome: Option<String>,
    /// About this account: its name or its twelve digits
    #[arg(long, value_name = "ACCOUNT")]
    pub(in crate::cli) account: Option<String>,
    /// Asked for by this user
    #[arg(long, value_name = "UID")]
    pub(in crate::cli) uid: Option<u32>,
    /// The last ones of them alone
    #[arg(long, value_name = "N")]
    pub(in crate::cli) last: Option<u32>,
}

fn since(text: &str) -> Result<u64, String> {
    seconds(text, 0)
}

fn until(text: &str) -> Result<u64, String> {
    seconds(text, 86_399)
}

/// A time in one of three forms; of a day alone, `of_day` seconds after its beginning.
fn seconds(text: &str, of_day: u64) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let wrong = || "a time is 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970".to_owned();
    let (day, time) = match text.strip_suffix('Z').and_then(|text| text.split_once('T')) {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let numbers = |text: &str, by: char, widths: [usize; 3]| {
        let mut parts = text.split(by);
        let read = widths.map(|width| {
            let part = parts.next().filter(|part| part.len() == width)?;
            part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse::<u64>().ok())?
        });
        match (read, parts.next()) {
            ([Some(first), Some(second), Some(third)], None) => Ok((first, second, third)),
            _ => Err(wrong()),
        }
    };
    let (year, month, day) = numbers(day, '-', [4, 2, 2])?;
    let of_day = match time {
        Some(time) => {
            let (hour, minute, second) = numbers(time, ':', [2, 2, 2])?;
            if hour > 23 || minute > 59 || second > 59 {
                return Err(wrong());
            }
            hour.saturating_mul(3600).saturating_add(minute.saturating_mul(60)).saturating_add(second)
        }
        None => of_day,
    };
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok().and_then(|month| months.get(..month)).ok_or_else(wrong)?;
    let Some((length, before)) = before.split_last() else { return Err(wrong()) };
    if year < 1970 || day == 0 || day > *length {
        return Err(wrong());
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years.saturating_add(before.iter().sum()).saturating_add(day.saturating_sub(1));
    Ok(days.saturating_mul(86_400).saturating_add(of_day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_767_225_599, 4_107_542_400] {
            assert_eq!(since(&crate::cli::output::time(seconds)), Ok(seconds));
            assert_eq!(since(&seconds.to_string()), Ok(seconds));
        }
        assert_eq!((since("1970-01-02"), until("1970-01-02")), (Ok(86_400), Ok(172_799)));
        for wrong in [
            "",
            "yesterday",
            "2026-1-31",
            "2026-02-29",
            "2026-00-01",
            "2026-13-01",
            "1969-12-31",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31-01",
            "-1",
            "2026-01-32",
        ] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
