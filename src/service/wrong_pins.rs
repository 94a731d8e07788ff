//! PINs that failed: none of them is sent to its token a second time, whoever gives it. So a program that answers with
//! the same wrong PIN again and again spends one try, and never the last one.

use crate::crypto::{hash, random};
use crate::secret::Pin;
use std::collections::HashMap;
use std::sync::Mutex;

/// The last one of each token. Not the PIN itself: it may be right for another token.
#[derive(Debug, Default)]
pub(super) struct WrongPins(Mutex<HashMap<String, Wrong>>);

#[derive(Debug)]
struct Wrong {
    key: [u8; 32],
    mac: [u8; 32],
    /// How many were left then. More of them now: the PIN was right since, or is another one.
    tries: u32,
}

impl WrongPins {
    /// Notes that this PIN failed, when so many tries were left with it.
    pub(super) fn note(&self, token: &str, pin: &Pin, tries: u32) {
        if let (Ok(key), Ok(mut wrongs)) = (random::public(), self.0.lock()) {
            wrongs.insert(token.to_owned(), Wrong { key, mac: mac(&key, pin), tries });
        }
    }

    /// Whether this PIN failed last, and would again.
    pub(super) fn knows(&self, token: &str, pin: &Pin, tries: u32) -> bool {
        let Ok(wrongs) = self.0.lock() else { return false };
        let found = wrongs.get(token).filter(|wrong| tries < wrong.tries);
        found.is_some_and(|wrong| hash::equal(&wrong.mac, &mac(&wrong.key, pin)))
    }

    /// Forgets that of one token, whose PIN was right.
    pub(super) fn forget(&self, token: &str) {
        if let Ok(mut wrongs) = self.0.lock() {
            wrongs.remove(token);
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        if let Ok(mut wrongs) = self.0.lock() {
            wrongs.clear();
        }
    }
}

fn mac(key: &[u8; 32], pin: &Pin) -> [u8; 32] {
    pin.with(|pin| hash::hmac_sha256(key, &[pin]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_pin_is_known_until_it_may_be_right() {
        let pin = |text: &str| Pin::copy_from(text.as_bytes());
        let wrong = WrongPins::default();
        wrong.note("a", &pin("1234"), 8);
        assert!(wrong.knows("a", &pin("1234"), 7));
        assert!(wrong.knows("a", &pin("1234"), 2), "others were wrong, too");
        assert!(!wrong.knows("a", &pin("1234"), 8), "the counter went up: it may have been changed");
        assert!(!wrong.knows("a", &pin("12345"), 7));
        assert!(!wrong.knows("b", &pin("1234"), 7));
        wrong.forget("b");
        assert!(wrong.knows("a", &pin("1234"), 7));
        wrong.forget("a");
        assert!(!wrong.knows("a", &pin("1234"), 7));
        wrong.note("a", &pin("1234"), 8);
        wrong.clear();
        assert!(!wrong.knows("a", &pin("1234"), 7));
    }
}
