//! Medians, ratios and verdicts.

use std::time::{Duration, Instant};

/// Times of one kind of work, in microseconds.
#[derive(Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e6);
    }

    /// The time that `part` of the rounds (0 to 1) did not exceed.
    pub(crate) fn quantile(&mut self, part: f64) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let at = (self.0.len() as f64 * part) as usize;
        self.0[at.min(self.0.len() - 1)]
    }

    pub(crate) fn median(&mut self) -> f64 {
        self.quantile(0.5)
    }
}

/// Ours and the floor's, taken in turns: whatever else the machine does falls on both.
pub(crate) fn in_turns(rounds: usize, mut ours: impl FnMut(), mut floor: impl FnMut()) -> (Times, Times) {
    let mut times = (Times::default(), Times::default());
    // The first of each brings files and caches in.
    ours();
    floor();
    for _ in 0..rounds {
        let start = Instant::now();
        ours();
        times.0.push(start.elapsed());
        let start = Instant::now();
        floor();
        times.1.push(start.elapsed());
    }
    times
}

fn verdict(what: &str, figures: &str, reached: bool, target: &str) {
    println!("{} {what:<44} {figures:<38} target {target}", if reached { "TARGET" } else { "MISS  " });
}

/// `ours` against `floor`, both in microseconds; at most `limit` times as long.
pub(crate) fn at_most(what: &str, ours: f64, floor: f64, limit: f64) {
    let ratio = ours / floor;
    let figures = format!("{ratio:6.2} x  ({ours:8.0} us / {floor:8.0} us)");
    verdict(what, &figures, ratio <= limit, &format!("<= {limit} x"));
}

/// `ours` against something that explains it, both in microseconds.
pub(crate) fn beside(what: &str, ours: f64, other: f64) {
    println!("       {what:<44} {:6.2} x  ({ours:8.0} us / {other:8.0} us)", ours / other);
}

/// How much of the floor's throughput is reached, from the times for the same work.
pub(crate) fn at_least(what: &str, ours: f64, floor: f64, limit: f64) {
    let ratio = floor / ours;
    let figures = format!("{ratio:6.2} x  ({ours:8.0} us / {floor:8.0} us)");
    verdict(what, &figures, ratio >= limit, &format!(">= {limit} x"));
}

/// A plain number that may not exceed `limit`.
pub(crate) fn number(what: &str, is: f64, limit: f64, unit: &str) {
    verdict(what, &format!("{is:6.2} {unit}"), is <= limit, &format!("<= {limit} {unit}"));
}
