//! The users' sessions as logind told of them, and what their changes mean. No I/O.

use crate::service::{Occasion, Whose};
use std::collections::BTreeMap;

/// A person's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) uid: u32,
    /// The path of its seat; none of one from afar.
    pub(super) seat: Option<String>,
    /// Whether it is in front of its seat.
    pub(super) active: bool,
    /// Whether its screen is locked.
    pub(super) locked: bool,
}

impl Session {
    fn whose(&self) -> Whose {
        Whose { uid: self.uid, seated: self.seat.is_some() }
    }
}

/// All sessions by their paths, and who is in front of each seat.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: BTreeMap<String, Session>,
    front: BTreeMap<String, u32>,
}

impl Sessions {
    pub(super) fn get(&self, path: &str) -> Option<&Session> {
        self.all.get(path)
    }

    /// One that was not known. Who is in front stays as it was told.
    pub(super) fn add(&mut self, path: &str, session: Session) {
        self.all.insert(path.to_owned(), session);
    }

    /// Its screen was locked.
    pub(super) fn locked(&self, path: &str) -> Option<Occasion> {
        self.all.get(path).map(|session| Occasion::SessionLock(session.whose()))
    }

    /// Somebody, or nobody, is in front of a seat now.
    pub(super) fn front(&mut self, seat: &str, now: Option<u32>) -> Option<Occasion> {
        let before = match now {
            Some(uid) => self.front.insert(seat.to_owned(), uid),
            None => self.front.remove(seat),
        };
        let left = before.filter(|before| Some(*before) != now);
        left.map(|uid| Occasion::UserSwitch(Whose { uid, seated: true }))
    }

    /// This one was in front of its seat, and now somebody else is, or nobody.
    pub(super) fn left(&mut self, path: &str, now: Option<u32>) -> Option<Occasion> {
        let Session { uid, seat, .. } = self.all.get(path)?;
        let seat = seat.clone()?;
        self.front.insert(seat.clone(), *uid);
        self.front(&seat, now)
    }

    /// It is over. The user may have others; one from afar does not stand for one at a seat.
    pub(super) fn removed(&mut self, path: &str) -> Option<Occasion> {
        let Session { uid, seat, .. } = self.all.remove(path)?;
        let seated = seat.is_some();
        let others = self.all.values().any(|other| other.uid == uid && (other.seat.is_some() || !seated));
        (!others).then_some(Occasion::Logout(Whose { uid, seated }))
    }

    /// What happened while nobody looked.
    pub(super) fn renew(&mut self, mut now: Self) -> Vec<Occasion> {
        let active = now.all.values().filter(|session| session.active);
        now.front = active.filter_map(|session| Some((session.seat.clone()?, session.uid))).collect();
        let fronts: Vec<_> = self.front.keys().cloned().collect();
        let mut happened: Vec<_> =
            fronts.iter().filter_map(|seat| self.front(seat, now.front.get(seat).copied())).collect();
        let gone: Vec<_> = self.all.keys().filter(|path| !now.all.contains_key(*path)).cloned().collect();
        happened.extend(gone.iter().filter_map(|path| self.removed(path)));
        happened.extend(
            now.all
                .values()
                .filter(|session| session.locked)
                .map(|locked| Occasion::SessionLock(locked.whose())),
        );
        *self = now;
        happened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAT: &str = "/seat0";
    const ALICE: Whose = Whose { uid: 1000, seated: true };
    const BOB: Whose = Whose { uid: 1001, seated: true };

    fn at_seat(whose: Whose, active: bool) -> Session {
        Session { uid: whose.uid, seat: Some(SEAT.to_owned()), active, locked: false }
    }

    fn both() -> Sessions {
        let mut sessions = Sessions::default();
        sessions.add("/a", at_seat(ALICE, true));
        sessions.add("/b", at_seat(BOB, false));
        sessions
    }

    #[test]
    fn another_user_in_front_is_a_switch_and_another_session_of_the_same_is_none() {
        let mut sessions = Sessions::default();
        sessions.renew(both());
        assert_eq!(sessions.front(SEAT, Some(ALICE.uid)), None);
        assert_eq!(sessions.front(SEAT, Some(BOB.uid)), Some(Occasion::UserSwitch(ALICE)));
        assert_eq!(sessions.front(SEAT, None), Some(Occasion::UserSwitch(BOB)));
        assert_eq!(sessions.front(SEAT, None), None);
        assert_eq!(sessions.front(SEAT, Some(ALICE.uid)), None, "nobody had to leave");
    }

    #[test]
    fn a_session_that_is_not_active_any_more_was_in_front() {
        let mut sessions = both();
        assert_eq!(sessions.left("/a", Some(BOB.uid)), Some(Occasion::UserSwitch(ALICE)));
        assert_eq!(sessions.left("/b", Some(BOB.uid)), None, "another one of the same user is");
        assert_eq!(sessions.left("/b", None), Some(Occasion::UserSwitch(BOB)));
        assert_eq!(sessions.left("/c", None), None);
    }

    #[test]
    fn the_last_session_of_a_user_is_a_logout() {
        let mut sessions = both();
        sessions.add("/a2", at_seat(ALICE, false));
        assert_eq!(sessions.removed("/a"), None);
        assert_eq!(sessions.removed("/a"), None, "it is gone already");
        assert_eq!(sessions.removed("/a2"), Some(Occasion::Logout(ALICE)));
        assert_eq!(sessions.locked("/a2"), None);
    }

    #[test]
    fn a_session_from_afar_does_not_stand_for_one_at_the_seat() {
        let mut sessions = both();
        let ssh = Session { seat: None, ..at_seat(ALICE, true) };
        sessions.add("/ssh", ssh.clone());
        assert_eq!(sessions.removed("/ssh"), None);
        sessions.add("/ssh", ssh);
        assert_eq!(sessions.removed("/a"), Some(Occasion::Logout(ALICE)));
        assert_eq!(sessions.left("/ssh", None), None);
        let afar = Whose { seated: false, ..ALICE };
        assert_eq!(sessions.locked("/ssh"), Some(Occasion::SessionLock(afar)));
        assert_eq!(sessions.removed("/ssh"), Some(Occasion::Logout(afar)));
    }

    #[test]
    fn what_nobody_saw_is_made_up_for() {
        assert_eq!(Sessions::default().renew(both()), []);
        assert_eq!(both().renew(both()), []);
        let mut bob_alone = Sessions::default();
        bob_alone.add("/b", at_seat(BOB, true));
        let mut sessions = Sessions::default();
        sessions.renew(both());
        assert_eq!(sessions.renew(bob_alone), [Occasion::UserSwitch(ALICE), Occasion::Logout(ALICE)]);
        assert_eq!(sessions.front(SEAT, None), Some(Occasion::UserSwitch(BOB)));
        let mut locked = Sessions::default();
        locked.add("/b", Session { locked: true, ..at_seat(BOB, true) });
        assert_eq!(Sessions::default().renew(locked), [Occasion::SessionLock(BOB)]);
    }
}
