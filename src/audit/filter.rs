//! Which records somebody wants to see.

use super::{AuditError, Entry, Outcome, Snapshot};
use std::collections::VecDeque;
use std::io;

/// What a record must be like; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Made then or later: seconds since 1970.
    pub since: Option<u64>,
    /// Made then or earlier.
    pub until: Option<u64>,
    /// What was asked for.
    pub event: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The name or the twelve digits of an account that it speaks of.
    pub account: Option<String>,
    /// Whose request it was.
    pub uid: Option<u32>,
    /// No more than these many, the last ones.
    pub last: Option<u32>,
}

impl Filter {
    fn wants(&self, entry: &Entry) -> bool {
        let first = entry.since.unwrap_or(entry.time);
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| first <= until)
            && self.event.as_ref().is_none_or(|event| *event == entry.event)
            && self.outcome.is_none_or(|outcome| outcome == entry.outcome)
            && self.uid.is_none_or(|uid| uid == entry.uid)
            && self.account.as_deref().is_none_or(|account| speaks_of(entry, account))
    }

    fn wants_all(&self) -> bool {
        *self == Self { last: self.last, ..Self::default() }
    }
}

/// `root of prod (1111-2222-3333)`: names have no slash, and an account is always named so.
fn speaks_of(entry: &Entry, account: &str) -> bool {
    let Some(what) = &entry.what else { return false };
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let is_id = digits(account).len() == 12 && account.chars().all(|c| c.is_ascii_digit() || c == '-');
    what.contains(&format!(" of {account} ("))
        || is_id && what.split(['(', ')']).any(|part| digits(part) == digits(account))
}

impl Snapshot {
    /// Hands out the lines of those records that `filter` wants, from the oldest on. Lines that are no records are
    /// among all records, and among no others.
    ///
    /// # Errors
    /// [`AuditError::Io`], also for what `take` returns.
    pub fn select(
        self,
        filter: &Filter,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), AuditError> {
        let wants =
            |entry: Option<&Entry>| entry.map_or_else(|| filter.wants_all(), |entry| filter.wants(entry));
        let Some(last) = filter.last else {
            return self.records(|line, entry| if wants(entry) { take(line) } else { Ok(()) });
        };
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        let mut kept = VecDeque::new();
        let path = self.path().to_owned();
        self.records(|line, entry| {
            if last > 0 && wants(entry) {
                if kept.len() == last {
                    kept.pop_front();
                }
                kept.push_back(line.to_vec());
            }
            Ok(())
        })?;
        let given = kept.iter().try_for_each(|line| take(line));
        given.map_err(|error| AuditError::Io { path, kind: error.kind() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let mut entry = Entry::new(100, "session", Outcome::Granted, 1000, 1);
        entry.what = Some("sign GetSessionToken, 1 h, root of prod (1111-2222-3333)".to_owned());
        entry
    }

    #[test]
    fn each_part_of_a_filter_counts() {
        let all = Filter::default();
        let text = |text: &str| Some(text.to_owned());
        for wanted in [
            all.clone(),
            Filter { since: Some(100), until: Some(100), ..all.clone() },
            Filter { event: text("session"), outcome: Some(Outcome::Granted), ..all.clone() },
            Filter { account: text("prod"), uid: Some(1000), ..all.clone() },
            Filter { account: text("111122223333"), ..all.clone() },
            Filter { account: text("1111-2222-3333"), ..all.clone() },
        ] {
            assert!(wanted.wants(&entry()), "{wanted:?}");
        }
        for other in [
            Filter { since: Some(101), ..all.clone() },
            Filter { until: Some(99), ..all.clone() },
            Filter { event: text("totp-code"), ..all.clone() },
            Filter { outcome: Some(Outcome::Refused), ..all.clone() },
            Filter { account: text("pro"), ..all.clone() },
            Filter { account: text("111122223334"), ..all.clone() },
            Filter { account: text(""), ..all.clone() },
            Filter { uid: Some(0), ..all },
        ] {
            assert!(!other.wants(&entry()), "{other:?}");
        }
    }
}
