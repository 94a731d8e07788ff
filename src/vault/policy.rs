//! What its holders have laid down for whoever uses the vault, on every machine. It stands in the header, to be known
//! before a token is asked for anything, and in the guard manifest, which proves it.

use super::VaultError;
use super::cbor::{Malformed, Reader, Writer};
use std::fmt;
use std::str::FromStr;

/// What may be done, by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Open the index.
    Unlock,
    /// Get sessions and codes.
    Use,
    /// Change what the vault holds, and who opens it.
    Manage,
}

/// Rules. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whoever uses what is guarded says why.
    pub demand_reason: bool,
    /// When sessions and codes may be had; empty: always.
    pub hours: Vec<Hours>,
    /// Seconds that a session lasts at most: 900 … 129,600.
    pub longest_session: Option<u32>,
    /// Who may open the index: user ids; empty: anybody.
    pub unlock_uids: Vec<u32>,
    /// Who may get sessions and codes.
    pub use_uids: Vec<u32>,
    /// Who may change anything.
    pub manage_uids: Vec<u32>,
}

impl Policy {
    const MOST_HOURS: usize = 32;
    const MOST_UIDS: usize = 256;
    /// What AWS gives at least and at most.
    const SESSION: std::ops::RangeInclusive<u32> = 900..=129_600;

    /// Whether that user may do it.
    pub fn lets(&self, uid: u32, act: Act) -> bool {
        let uids = match act {
            Act::Unlock => &self.unlock_uids,
            Act::Use => &self.use_uids,
            Act::Manage => &self.manage_uids,
        };
        uids.is_empty() || uids.contains(&uid)
    }

    /// Whether sessions and codes may be had at that time, in seconds since 1970-01-01 UTC.
    pub fn is_open(&self, now: u64) -> bool {
        self.hours.is_empty() || self.hours.iter().any(|hours| hours.contains(now))
    }

    /// The rules of the format.
    ///
    /// # Errors
    /// [`VaultError::Invalid`], naming the rule.
    pub fn validate(&self) -> Result<(), VaultError> {
        if self.hours.len() > Self::MOST_HOURS {
            return Err(VaultError::Invalid("hours"));
        }
        if self.longest_session.is_some_and(|longest| !Self::SESSION.contains(&longest)) {
            return Err(VaultError::Invalid("longest session"));
        }
        let sound =
            |uids: &Vec<u32>| uids.len() <= Self::MOST_UIDS && uids.is_sorted_by(|one, two| one < two);
        if [&self.unlock_uids, &self.use_uids, &self.manage_uids].into_iter().all(sound) {
            Ok(())
        } else {
            Err(VaultError::Invalid("user ids"))
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let lists = [(3, &self.unlock_uids), (4, &self.use_uids), (5, &self.manage_uids)];
        let lists = lists.into_iter().filter(|(_, uids)| !uids.is_empty());
        let rules = [self.demand_reason, !self.hours.is_empty(), self.longest_session.is_some()];
        let rules = rules.into_iter().filter(|given| *given).count();
        writer.map(rules.saturating_add(lists.clone().count()));
        if self.demand_reason {
            writer.uint(0).bool(true);
        }
        if !self.hours.is_empty() {
            writer.uint(1).array(self.hours.len());
            for Hours { days, from, to } in &self.hours {
                writer.array(3).uint((*days).into()).uint((*from).into()).uint((*to).into());
            }
        }
        if let Some(longest) = self.longest_session {
            writer.uint(2).uint(longest.into());
        }
        for (key, uids) in lists {
            writer.uint(key).array(uids.len());
            for uid in uids {
                writer.uint((*uid).into());
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let some = |list: Vec<_>| if list.is_empty() { Err(Malformed) } else { Ok(list) };
        let uids = |reader: &mut Reader<'_>| some(reader.array(small)?);
        let mut fields = reader.map()?;
        let demand_reason = fields.optional(0, |reader| reader.bool()?.then_some(true).ok_or(Malformed))?;
        let hours = fields.optional(1, |reader| {
            let hours = reader.array(Hours::decode)?;
            if hours.is_empty() { Err(Malformed) } else { Ok(hours) }
        })?;
        let policy = Self {
            demand_reason: demand_reason.unwrap_or_default(),
            hours: hours.unwrap_or_default(),
            longest_session: fields.optional(2, small)?,
            unlock_uids: fields.optional(3, uids)?.unwrap_or_default(),
            use_uids: fields.optional(4, uids)?.unwrap_or_default(),
            manage_uids: fields.optional(5, uids)?.unwrap_or_default(),
        };
        // A rule of a later version: to pass over it would be to break it.
        fields.end()?;
        policy.validate().map_err(|_rule| Malformed)?;
        Ok(policy)
    }
}

fn small<T: TryFrom<u64>>(reader: &mut Reader<'_>) -> Result<T, Malformed> {
    T::try_from(reader.uint()?).map_err(|_large| Malformed)
}

/// A part of each day on some days of the week, in UTC: `Mon-Fri 08:00-18:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Bit 0 is Monday.
    days: u8,
    /// The first minute of the day.
    from: u16,
    /// The first one after.
    to: u16,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MINUTES: u16 = 24 * 60;

impl Hours {
    fn contains(self, now: u64) -> bool {
        // 1970-01-01 was a Thursday.
        let day = (now / 86_400).wrapping_add(3) % 7;
        let minute = now % 86_400 / 60;
        let today = u32::try_from(day).ok().and_then(|day| self.days.checked_shr(day));
        today.is_some_and(|days| days & 1 == 1)
            && (u64::from(self.from)..u64::from(self.to)).contains(&minute)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.fixed(3)?;
        let hours = Self { days: small(reader)?, from: small(reader)?, to: small(reader)? };
        let sound = (1..0x80).contains(&hours.days) && hours.from < hours.to && hours.to <= MINUTES;
        if sound { Ok(hours) } else { Err(Malformed) }
    }
}

impl FromStr for Hours {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        parse(text).ok_or(VaultError::Invalid("hours"))
    }
}

fn parse(text: &str) -> Option<Hours> {
    let (days, times) = text.split_once(' ')?;
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (day(first)?, day(last)?);
    let within = |day: &usize| {
        if first <= last { (first..=last).contains(day) } else { *day >= first || *day <= last }
    };
    let days = (0..7).filter(within).fold(0_u8, |days, day| days | 1 << day);
    let (from, to) = times.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from < to).then_some(Hours { days, from, to })
}

/// `HH:MM`, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    let at = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && at <= MINUTES).then_some(at)
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<_> = (0..7_usize).filter(|day| self.days >> day & 1 == 1).collect();
        let name = |day: Option<&usize>| day.and_then(|day| DAYS.get(*day)).copied().unwrap_or_default();
        // Days in a row, be it over the end of the week, begin where the day before is none of them.
        let first = on.iter().find(|day| !on.contains(&(day.saturating_add(6) % 7))).or(on.first());
        let last = on.iter().find(|day| !on.contains(&(day.saturating_add(1) % 7))).or(on.last());
        formatter.write_str(name(first))?;
        if on.len() > 1 {
            write!(formatter, "-{}", name(last))?;
        }
        let clock = |at: u16| format!("{:02}:{:02}", at / 60, at % 60);
        write!(formatter, " {}-{}", clock(self.from), clock(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    /// Monday, 2026-11-23, 00:00 UTC.
    const MONDAY: u64 = 1_795_392_000;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_of_the_week_in_utc() {
        let office = hours("Mon-Fri 08:00-18:00");
        let at = |day: u64, hour: u64| MONDAY + day * 24 * HOUR + hour * HOUR;
        for (day, hour, open) in
            [(0, 8, true), (0, 7, false), (0, 18, false), (4, 17, true), (5, 12, false), (6, 12, false)]
        {
            assert_eq!(office.contains(at(day, hour)), open, "{day} {hour}");
        }
        assert!(office.contains(at(0, 18) - 1) && !office.contains(at(0, 8) - 1));
        let weekend = hours("Sat-Mon 00:00-24:00");
        let open: Vec<_> = (0..7).filter(|day| weekend.contains(at(*day, 23))).collect();
        assert_eq!(open, [0, 5, 6]);
        let policy = Policy { hours: vec![office, weekend], ..Policy::default() };
        assert!(policy.is_open(at(5, 3)) && !policy.is_open(at(1, 3)));
        assert!(Policy::default().is_open(0));
    }

    #[test]
    fn hours_are_written_as_they_are_read() {
        for text in ["Mon-Fri 08:00-18:00", "Wed 00:00-24:00", "Sat-Mon 09:30-09:31", "Mon-Sun 00:00-24:00"] {
            assert_eq!(hours(text).to_string(), text);
        }
        for bad in [
            "",
            "Mon",
            "Mon 8:00-18:00",
            "Mon 08:00",
            "Mon 18:00-08:00",
            "Mon 08:00-08:00",
            "Mon 08:60-09:00",
            "Mon 08:00-24:01",
            "Mo-Fr 08:00-18:00",
            "Mon-Fri-Sun 08:00-18:00",
            "Mon  08:00-18:00",
            "Mon +8:00-18:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn users_are_listed_or_anybody() {
        let policy = Policy { use_uids: vec![1000, 1001], ..Policy::default() };
        assert!(policy.lets(1001, Act::Use) && !policy.lets(0, Act::Use));
        assert!(policy.lets(0, Act::Unlock) && policy.lets(7, Act::Manage));
    }

    #[test]
    fn a_policy_is_read_as_it_was_written_and_nothing_else_is() {
        let full = Policy {
            demand_reason: true,
            hours: vec![hours("Mon-Fri 08:00-18:00"), hours("Sat 10:00-12:00")],
            longest_session: Some(900),
            unlock_uids: vec![0],
            use_uids: vec![1, 2],
            manage_uids: vec![u32::MAX],
        };
        for policy in [Policy::default(), full, Policy { longest_session: Some(3600), ..Policy::default() }] {
            let mut writer = Writer::with_capacity(64);
            policy.encode(&mut writer);
            let bytes = writer.into_bytes();
            assert_eq!(Reader::whole(&bytes, Policy::decode), Ok(policy));
        }
        for bad in [
            &[0xa1, 0, 0xf4][..],            // no reason demanded: to be left out
            &[0xa1, 1, 0x80],                // no hours
            &[0xa1, 1, 0x81, 0x83, 0, 0, 1], // on no day
            &[0xa1, 1, 0x81, 0x83, 1, 1, 1], // for no time
            &[0xa1, 2, 1],                   // too short a session
            &[0xa1, 3, 0x80],                // nobody
            &[0xa1, 3, 0x82, 2, 1],          // not in order
            &[0xa1, 3, 0x82, 1, 1],          // twice
            &[0xa1, 6, 0xf5],                // a rule of a later version
        ] {
            assert_eq!(Reader::whole(bad, Policy::decode), Err(Malformed), "{bad:x?}");
        }
    }
}
