//! Refusals in a row, told together: whoever asks for the same thing again and again gets one record a minute.

use super::record::{Entry, Outcome};
use std::time::{Duration, Instant};

/// For how long refusals like one that was written are held and joined.
const WINDOW: Duration = Duration::from_mins(1);
/// How many kinds of refusals are told apart; those beyond are not held.
const MOST: usize = 256;

/// Those that were written lately, and those like them that came since.
#[derive(Debug, Default)]
pub struct Refusals(Vec<Row>);

#[derive(Debug)]
struct Row {
    /// When what is held is due.
    until: Instant,
    /// One that was written, to tell others like it.
    like: Entry,
    held: Option<Entry>,
}

impl Row {
    fn is_like(&self, entry: &Entry) -> bool {
        let of = |entry: &Entry| (entry.uid, entry.outcome, entry.event.clone(), entry.reason.clone());
        of(&self.like) == of(entry)
    }

    fn hold(&mut self, entry: Entry) {
        let Some(held) = &mut self.held else {
            self.held = Some(entry);
            return;
        };
        let (first, count) = (held.since.unwrap_or(held.time), held.count.unwrap_or(1));
        *held = Entry {
            since: Some(first),
            count: Some(count.saturating_add(entry.count.unwrap_or(1))),
            ..entry
        };
    }
}

impl Refusals {
    /// Whether an entry may wait and be joined.
    pub fn concern(entry: &Entry) -> bool {
        entry.outcome != Outcome::Granted && entry.lost.is_none()
    }

    /// Takes a refusal; gives it back where it is to be written now.
    pub fn take(&mut self, entry: Entry, now: Instant) -> Option<Entry> {
        if let Some(row) = self.0.iter_mut().find(|row| row.is_like(&entry)) {
            row.hold(entry);
            return None;
        }
        if self.0.len() < MOST
            && let Some(until) = now.checked_add(WINDOW)
        {
            self.0.push(Row { until, like: entry.clone(), held: None });
        }
        Some(entry)
    }

    /// Those that have been held for long enough.
    pub fn due(&mut self, now: Instant) -> Vec<Entry> {
        let mut due = Vec::new();
        self.0.retain_mut(|row| {
            if row.until > now {
                return true;
            }
            let Some(held) = row.held.take() else { return false };
            due.push(held);
            row.until = now.checked_add(WINDOW).unwrap_or(now);
            true
        });
        due
    }

    /// All that are held: something else is going to be written.
    pub fn all(&mut self) -> Vec<Entry> {
        self.0.iter_mut().filter_map(|row| row.held.take()).collect()
    }

    /// Holds again what could not be written.
    pub fn hold_again(&mut self, entries: impl IntoIterator<Item = Entry>, now: Instant) {
        for entry in entries {
            let row = self.0.iter_mut().find(|row| row.is_like(&entry));
            if let Some(row) = row {
                match row.held.take() {
                    Some(later) => {
                        row.held = Some(entry);
                        row.hold(later);
                    }
                    None => row.held = Some(entry),
                }
            } else if self.0.len() < MOST {
                let until = now.checked_add(WINDOW).unwrap_or(now);
                self.0.push(Row { until, like: entry.clone(), held: Some(entry) });
            }
        }
    }

    /// When the next ones are due.
    pub fn next_due(&self) -> Option<Instant> {
        self.0.iter().map(|row| row.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(time: u64, uid: u32, event: &str) -> Entry {
        let mut entry = Entry::new(time, event, Outcome::Refused, uid, 1);
        entry.reason = Some("PinInvalid".to_owned());
        entry
    }

    #[test]
    fn the_first_is_written_at_once_and_those_after_it_together() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert!(refusals.take(refusal(1, 0, "unlock"), now).is_some());
        for time in 2..=1000 {
            assert!(refusals.take(refusal(time, 0, "unlock"), now).is_none());
        }
        // Somebody else's, and others of the same.
        assert!(refusals.take(refusal(5, 1, "unlock"), now).is_some());
        assert!(refusals.take(refusal(5, 0, "session"), now).is_some());
        assert!(refusals.due(now).is_empty());
        let due = refusals.due(now + WINDOW);
        let joined: Vec<_> = due.iter().map(|entry| (entry.count, entry.since, entry.time)).collect();
        assert_eq!(joined, [(Some(999), Some(2), 1000)]);
        // A row that goes on stays held; one that ended is forgotten.
        assert!(refusals.take(refusal(1001, 0, "unlock"), now + WINDOW).is_none());
        assert!(refusals.take(refusal(1001, 1, "unlock"), now + WINDOW).is_some());
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let first = refusals.take(refusal(1, 0, "unlock"), now).unwrap();
        refusals.take(refusal(2, 0, "unlock"), now);
        let mut held = refusals.all();
        refusals.take(refusal(3, 0, "unlock"), now);
        held.insert(0, first);
        refusals.hold_again(held.into_iter().rev(), now);
        let all = refusals.all();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].count, all[0].since, all[0].time), (Some(3), Some(1), 3));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        for uid in 0..1000 {
            assert!(refusals.take(refusal(1, uid, "unlock"), now).is_some());
        }
        assert_eq!(refusals.0.len(), MOST);
    }

    #[test]
    fn what_is_granted_or_found_of_the_log_itself_never_waits() {
        let mut entry = refusal(1, 0, "unlock");
        assert!(Refusals::concern(&entry));
        entry.lost = Some(crate::audit::Lost { from: 1, seq: 1, head: String::new() });
        assert!(!Refusals::concern(&entry));
        assert!(!Refusals::concern(&Entry::new(1, "unlock", Outcome::Granted, 0, 1)));
    }
}
