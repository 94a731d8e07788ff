//! Why something that is plugged in, or should be, is no token for now: in words of ours, with the way out.

use super::TokenError;
use crate::transport::pcsc::ReaderError;

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// What it is.
    pub reason: Reason,
    /// Where: a device node, a socket, the number of a reader in pcscd's list; empty where it is nowhere in
    /// particular.
    pub place: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is no token at all.
    NonePluggedIn,
    /// Nobody listens at pcscd's socket.
    PcscdNotRunning,
    /// Polkit does not let this user talk to it.
    PcscdDenied,
    /// It does not answer, or not as it should.
    PcscdFailed,
    /// This user may not open the device node.
    NodeDenied,
    /// This user may not connect to the virtual token.
    SocketDenied,
    /// Polkit does not let this user use the card.
    CardDenied,
    /// A virtual token that the configuration names is not there.
    SocketMissing,
    /// It says nothing.
    Silent,
    /// What it says makes no sense.
    Nonsense,
    /// Another program has it.
    Busy,
    /// A card of another trade.
    ForeignCard,
    /// A card in a reader that is called as another one.
    Namesake,
}

impl Reason {
    /// Its name in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NonePluggedIn => "none_plugged_in",
            Self::PcscdNotRunning => "pcscd_not_running",
            Self::PcscdDenied => "pcscd_denied",
            Self::PcscdFailed => "pcscd_failed",
            Self::NodeDenied => "node_denied",
            Self::SocketDenied => "socket_denied",
            Self::CardDenied => "card_denied",
            Self::SocketMissing => "socket_missing",
            Self::Silent => "silent",
            Self::Nonsense => "nonsense",
            Self::Busy => "busy",
            Self::ForeignCard => "foreign_card",
            Self::Namesake => "namesake",
        }
    }

    /// What it means and what to do, without the place.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NonePluggedIn => "no security token is plugged in",
            Self::PcscdNotRunning => {
                "pcscd is not running, so no smart card is seen: install it (`apt install pcscd`) or start it \
                 (`systemctl start pcscd.socket`); for none, write `pcsc = false` under [tokens]"
            }
            Self::PcscdDenied => {
                "pcscd refuses this user, so no smart card is seen: have polkit allow \
                 org.debian.pcsc-lite.access_pcsc and access_card to it"
            }
            Self::PcscdFailed => {
                "pcscd does not answer, so no smart card is seen: restart it (`systemctl restart pcscd`)"
            }
            Self::NodeDenied => {
                "this user may not open the token: install the rule udev/70-rootseal.rules and put the user into the \
                 group rootseal (a user at the screen needs neither), then plug the token in again"
            }
            Self::SocketDenied => {
                "this user may not open the virtual token's socket: start it as the same user"
            }
            Self::CardDenied => {
                "pcscd does not let this user use the card: have polkit allow org.debian.pcsc-lite.access_card to it"
            }
            Self::SocketMissing => {
                "there is no virtual token: start it, or take the socket out of hid_sockets in the configuration"
            }
            Self::Silent => "the token does not answer: unplug it and plug it in again",
            Self::Nonsense => {
                "the token answers what makes no sense: unplug it and plug it in again, or use another one"
            }
            Self::Busy => "another program is using the token: try again when it is done",
            Self::ForeignCard => "the card is neither a PIV card nor a YubiKey: use another one",
            Self::Namesake => {
                "pcscd calls this reader as another one and reaches only the first: put the card there, or unplug the \
                 other reader and restart pcscd"
            }
        }
    }

    /// Whether it keeps cards from being seen at all.
    pub const fn is_of_pcscd(self) -> bool {
        matches!(self, Self::PcscdNotRunning | Self::PcscdDenied | Self::PcscdFailed)
    }

    /// Whether there is a device, and only it cannot be used.
    const fn is_of_a_device(self) -> bool {
        matches!(
            self,
            Self::NodeDenied
                | Self::SocketDenied
                | Self::CardDenied
                | Self::Silent
                | Self::Nonsense
                | Self::Busy
                | Self::ForeignCard
                | Self::Namesake
        )
    }
}

/// What kind of place a token did not answer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Node,
    Socket,
    Card,
}

impl Trouble {
    /// What an error means at a place; none: nothing is wrong, it only is no longer there.
    pub(super) fn of_token(error: &TokenError, wire: Wire, place: String) -> Option<Self> {
        let reason = match (error, wire) {
            (TokenError::Denied, Wire::Node) => Reason::NodeDenied,
            (TokenError::Denied, Wire::Socket) => Reason::SocketDenied,
            (TokenError::Denied, Wire::Card) => Reason::CardDenied,
            (TokenError::Gone, Wire::Socket) => Reason::SocketMissing,
            (TokenError::Gone, Wire::Node | Wire::Card) | (TokenError::Cancelled, _) => return None,
            (TokenError::TimedOut, _) => Reason::Silent,
            (TokenError::Busy, _) => Reason::Busy,
            (_, _) => Reason::Nonsense,
        };
        Some(Self { reason, place })
    }

    /// Why no cards are seen.
    pub(super) fn of_readers(error: ReaderError) -> Self {
        let reason = match error {
            ReaderError::NotRunning => Reason::PcscdNotRunning,
            ReaderError::Denied => Reason::PcscdDenied,
            ReaderError::Stopped
            | ReaderError::TimedOut
            | ReaderError::Cancelled
            | ReaderError::Failed(_) => Reason::PcscdFailed,
        };
        Self { reason, place: String::new() }
    }

    /// Puts them in order, each once; where there is no device at all, that comes first.
    pub(super) fn settle(mut troubles: Vec<Self>, is_any_present: bool) -> Vec<Self> {
        if !is_any_present && !troubles.iter().any(|trouble| trouble.reason.is_of_a_device()) {
            troubles.push(Self { reason: Reason::NonePluggedIn, place: String::new() });
        }
        troubles.sort();
        troubles.dedup();
        troubles
    }
}

/// The place, and what is wrong there.
impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.place.is_empty() {
            write!(formatter, "{}: ", self.place)?;
        }
        formatter.write_str(self.reason.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(reason: Reason, place: &str) -> Trouble {
        Trouble { reason, place: place.to_owned() }
    }

    #[test]
    fn nothing_is_plugged_in_only_where_there_is_no_device() {
        let absent = at(Reason::SocketMissing, "/run/a");
        let nothing = Trouble::settle(vec![absent.clone()], false);
        assert_eq!(nothing, [at(Reason::NonePluggedIn, ""), absent.clone()]);
        assert_eq!(Trouble::settle(vec![absent.clone()], true), [absent]);
        let denied = at(Reason::NodeDenied, "/dev/hidraw3");
        assert_eq!(Trouble::settle(vec![denied.clone()], false), [denied]);
    }

    #[test]
    fn a_card_that_is_asked_for_each_of_its_applications_is_told_of_once() {
        let silent = at(Reason::Silent, "reader 1");
        assert_eq!(Trouble::settle(vec![silent.clone(), silent.clone()], false), [silent]);
    }

    #[test]
    fn what_is_gone_is_missed_only_where_the_configuration_names_it() {
        for (wire, missed) in [(Wire::Node, false), (Wire::Card, false), (Wire::Socket, true)] {
            assert_eq!(Trouble::of_token(&TokenError::Gone, wire, String::new()).is_some(), missed);
        }
    }

    #[test]
    fn a_node_that_may_not_be_opened_is_named_with_the_rule() {
        let denied = Trouble::of_token(&TokenError::Denied, Wire::Node, "/dev/hidraw3".to_owned()).unwrap();
        let text = denied.to_string();
        assert!(text.starts_with("/dev/hidraw3: ") && text.contains("udev/70-rootseal.rules"), "{text}");
    }
}
