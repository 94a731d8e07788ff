//! The clock, held against a server's: AWS refuses a signature that is 5 minutes off, and a TOTP code half a minute.

use super::{Finding, Health};
use crate::cli::https;
use crate::cli::output;

const ABOUT: &str = "clock";
/// Seconds: a code is good for 30, and servers take the one before, too.
const CLOSE: u64 = 10;
const FAR: u64 = 30;
const ADVICE: &str = "let the clock be set by NTP (timedatectl set-ntp true)";

pub(super) async fn look(source: Option<&str>) -> Finding {
    let Some(source) = source.map(str::to_owned) else {
        return Finding::new(
            ABOUT,
            Health::Unknown,
            "not compared with any other",
            "name one: --time-source https://HOST/",
        );
    };
    let asked = tokio::task::spawn_blocking(move || https::date(&source)).await;
    match asked {
        Ok(Ok(theirs)) => compare(output::now(), theirs),
        Ok(Err(error)) => Finding::new(
            ABOUT,
            Health::Unknown,
            error.to_string(),
            "name another: --time-source https://HOST/",
        ),
        Err(_panicked) => Finding::new(ABOUT, Health::Unknown, "the comparison was interrupted", ""),
    }
}

fn compare(ours: u64, theirs: u64) -> Finding {
    let off = ours.abs_diff(theirs);
    let text = match ours.cmp(&theirs) {
        std::cmp::Ordering::Less => format!("{off} s behind the time source"),
        std::cmp::Ordering::Equal => "as the time source says".to_owned(),
        std::cmp::Ordering::Greater => format!("{off} s ahead of the time source"),
    };
    match off {
        0..CLOSE => Finding::good(ABOUT, text),
        CLOSE..FAR => Finding::new(ABOUT, Health::Weak, text, ADVICE),
        _ => Finding::new(ABOUT, Health::Bad, format!("{text}: codes will be refused"), ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much() {
        let health = |ours, theirs| compare(ours, theirs).health;
        assert_eq!(
            [health(100, 100), health(100, 109), health(100, 89), health(100, 131)],
            [Health::Good, Health::Good, Health::Weak, Health::Bad]
        );
        assert!(compare(100, 131).text.starts_with("31 s behind"));
        assert!(compare(131, 100).text.starts_with("31 s ahead"));
    }
}
