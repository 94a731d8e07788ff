//! Agents: programs that show prompts, and which of them may answer for whom.

use super::names::{AGENT_INTERFACE, ERROR_PREFIX};
use crate::service::caller::Caller;
use crate::token::prompter::Refusal;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use zbus::{Connection, OwnedObjectPath, fdo};

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) connection: Connection,
    /// On a bus, the unique name.
    pub(super) name: Option<String>,
}

/// Whose requests an agent shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Every request of its user: a tray.
    User,
    /// Those of its own connection: a command, whose PIN file must not answer for another program.
    Itself,
}

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) owner: Caller,
    pub(super) peer: Peer,
    path: OwnedObjectPath,
    serves: Serves,
}

/// A prompt that is on show: whose it is, and how it hears that somebody said no.
#[derive(Debug)]
struct Open {
    caller: Caller,
    refused: watch::Sender<bool>,
}

/// All agents of all users, and the prompts that they show.
#[derive(Debug, Default)]
pub(super) struct Agents {
    list: Mutex<Vec<Agent>>,
    open: Mutex<BTreeMap<u64, Open>>,
}

impl Agents {
    /// One agent for each connection: a later one replaces it.
    pub(super) fn register(&self, owner: Caller, peer: Peer, path: OwnedObjectPath, serves: Serves) {
        if let Ok(mut agents) = self.list.lock() {
            agents.retain(|agent| agent.is_there() && agent.owner.connection != owner.connection);
            agents.push(Agent { owner, peer, path, serves });
        }
    }

    pub(super) fn unregister(&self, owner: &Caller, path: &OwnedObjectPath) -> bool {
        let Ok(mut agents) = self.list.lock() else { return false };
        let before = agents.len();
        agents.retain(|agent| !(agent.owner.connection == owner.connection && agent.path == *path));
        agents.len() < before
    }

    /// A prompt begins; returns its number, and what becomes true when it is refused.
    pub(super) fn open(&self, caller: &Caller) -> (u64, watch::Receiver<bool>) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (refused, hears) = watch::channel(false);
        if let Ok(mut open) = self.open.lock() {
            open.insert(number, Open { caller: caller.clone(), refused });
        }
        (number, hears)
    }

    /// It is over: nobody can refuse it any more.
    pub(super) fn close(&self, number: u64) {
        if let Ok(mut open) = self.open.lock() {
            open.remove(&number);
        }
    }

    /// Refuses a prompt that an agent on this connection shows. False: there is none of that number.
    pub(super) fn refuse(&self, by: &Caller, number: u64) -> bool {
        let Ok(open) = self.open.lock() else { return false };
        let Some(open) = open.get(&number) else { return false };
        let shown = self.of(&open.caller).iter().any(|agent| agent.owner.connection == by.connection);
        if shown {
            open.refused.send_replace(true);
        }
        shown
    }

    /// Those of a user, the caller's own first, then the latest.
    pub(super) fn of(&self, caller: &Caller) -> Vec<Agent> {
        let Ok(mut agents) = self.list.lock() else { return Vec::new() };
        agents.retain(Agent::is_there);
        let mut of: Vec<_> = agents.iter().rev().filter(|agent| agent.shows(caller)).cloned().collect();
        of.sort_by_key(|agent| agent.owner.connection != caller.connection);
        of
    }
}

impl Agent {
    fn shows(&self, caller: &Caller) -> bool {
        match self.serves {
            Serves::User => self.owner.uid == caller.uid,
            Serves::Itself => self.owner.connection == caller.connection,
        }
    }

    fn is_there(&self) -> bool {
        self.owner.presence.has_changed().is_ok()
    }

    pub(super) async fn call<B>(&self, member: &str, body: &B) -> Result<zbus::Message, Refusal>
    where
        B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType,
    {
        let name = self.peer.name.as_deref();
        let call = self.peer.connection.call_method(name, &self.path, Some(AGENT_INTERFACE), member, body);
        tokio::select! {
            reply = call => reply.map_err(|error| refusal(&error)),
            () = self.owner.gone() => Err(Refusal::NoSurface),
        }
    }
}

/// An agent that has no way to show a prompt, or is gone, leaves it to the others; any other error is a no.
fn refusal(error: &zbus::Error) -> Refusal {
    if let zbus::Error::MethodError(name, _, _) = error {
        let nowhere = name.strip_prefix(ERROR_PREFIX) == Some("NoPrompt");
        return if nowhere { Refusal::NoSurface } else { Refusal::Refused };
    }
    let zbus::Error::FDO(standard) = error else {
        let gone = matches!(error, zbus::Error::InputOutput(_));
        return if gone { Refusal::NoSurface } else { Refusal::Refused };
    };
    let nobody = matches!(
        **standard,
        fdo::Error::NoReply(_)
            | fdo::Error::Disconnected(_)
            | fdo::Error::ServiceUnknown(_)
            | fdo::Error::NameHasNoOwner(_)
            | fdo::Error::UnknownObject(_)
            | fdo::Error::UnknownInterface(_)
            | fdo::Error::UnknownMethod(_)
    );
    if nobody { Refusal::NoSurface } else { Refusal::Refused }
}
