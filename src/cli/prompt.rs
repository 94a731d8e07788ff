//! A prompt as people see it: one line that is plain and not endless, whoever wrote what stands in it.

use crate::cli::output::plain;
use crate::dbus::proxy::{PinRequest, PromptSignal, TouchRequest};

/// What no honest prompt comes near, in characters. The end goes: a caller's own words stand there.
const LONGEST: usize = 900;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A PIN or a password is typed, here or on another surface.
    Secret,
    Touch,
    Wait,
}

#[derive(Clone, Debug)]
pub(super) struct Prompt {
    /// By which the daemon knows it.
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) text: String,
    /// What is typed.
    pub(super) secret: &'static str,
    /// What was typed before was wrong.
    pub(super) failed: bool,
    /// When it ends by itself, in seconds since 1970.
    pub(super) deadline: u64,
}

impl Prompt {
    pub(super) fn secret(request: &PinRequest) -> Self {
        let PinRequest { label, text, retries, .. } = request;
        let (secret, text) = if request.is_oath_password() {
            ("password", format!("Password of the OATH accounts on {label} (not its PIN), to {text}"))
        } else {
            let tries = match retries {
                1 => "the last try before the token blocks".to_owned(),
                tries => format!("{tries} tries left"),
            };
            ("PIN", format!("PIN of {label} ({tries}), to {text}"))
        };
        let prompt = Self::new(request.prompt, Kind::Secret, &text, request.deadline);
        Self { secret, failed: request.failed, ..prompt }
    }

    /// For one of the four lines of a recovery code.
    pub(super) fn code(request: &PinRequest, line: u32) -> Self {
        let text = format!("Line {line} of 4 of the {}, to {}", request.label, request.text);
        let prompt = Self::new(request.prompt, Kind::Secret, &text, request.deadline);
        Self { secret: "line", ..prompt }
    }

    pub(super) fn touch(request: &TouchRequest) -> Self {
        let what = if request.touch { "Touch" } else { "Using" };
        let text = format!("{what} {}: {}", request.label, request.text);
        Self::new(request.prompt, Kind::Touch, &text, request.deadline)
    }

    /// What is asked for elsewhere, or only waited for. A touch reaches every agent by call.
    pub(super) fn told(signal: &PromptSignal) -> Option<Self> {
        let (kind, text) = match signal.kind.as_str() {
            "pin" => (Kind::Secret, format!("Asked for elsewhere: {}", signal.text)),
            "wait" => (Kind::Wait, signal.text.clone()),
            _ => return None,
        };
        Some(Self::new(signal.prompt, kind, &text, signal.deadline))
    }

    fn new(number: u64, kind: Kind, text: &str, deadline: u64) -> Self {
        Self { number, kind, text: brief(text), secret: "PIN", failed: false, deadline }
    }

    /// For where an answer is typed right behind it.
    pub(super) fn question(&self) -> String {
        match self.wrong() {
            Some(wrong) => format!("{wrong} {}: ", self.text),
            None => format!("{}: ", self.text),
        }
    }

    pub(super) fn wrong(&self) -> Option<String> {
        self.failed.then(|| format!("Wrong {}.", self.secret))
    }
}

fn brief(text: &str) -> String {
    let mut characters = text.chars();
    let mut brief: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        brief.push('\u{2026}');
    }
    plain(&brief)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_one_plain_line_of_some_length() {
        let text = |reason: &str| {
            let signal =
                PromptSignal { prompt: 1, kind: "wait".to_owned(), text: reason.to_owned(), deadline: 0 };
            Prompt::told(&signal).unwrap().text
        };
        assert_eq!(text("because: <b>\u{1f525}</b>"), "because: <b>\u{1f525}</b>");
        assert_eq!(text("a\nb\x1b[2J\u{202e}c\u{061c}"), "a b\u{fffd}[2J\u{fffd}c\u{fffd}");
        assert_eq!(text(&"\u{20ac}".repeat(1 << 20)), format!("{}\u{2026}", "\u{20ac}".repeat(LONGEST)));
    }
}
