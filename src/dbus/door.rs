//! One connection's door: who is on the other end, and what hangs behind it.

use super::agents::{Agents, Peer};
use super::error::Error;
use super::prompter::AgentPrompter;
use crate::service::caller::Caller;
use crate::service::{Act, Service};
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use zbus::Connection;
use zbus::fdo::{self, DBusProxy};
use zbus::message::Header;
use zbus::names::BusName;

/// What all connections of one daemon share.
#[derive(Clone, Debug)]
pub struct House {
    pub(super) service: Arc<Service>,
    pub(super) agents: Arc<Agents>,
}

impl House {
    /// The house of one service.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service, agents: Arc::default() }
    }
}

/// How callers of one connection are told apart.
#[derive(Debug)]
enum Callers {
    /// Peer to peer: there is one.
    One(Caller),
    /// A bus: by unique name. Dropping an entry tells whoever works for that caller that it is gone.
    Many(Mutex<HashMap<String, (Caller, watch::Sender<()>)>>),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) service: Arc<Service>,
    pub(super) agents: Arc<Agents>,
    callers: Callers,
    /// The ids of the tokens that have objects.
    shown_tokens: Mutex<BTreeSet<String>>,
}

impl Door {
    pub(super) fn private(house: &House, caller: Caller) -> Arc<Self> {
        Self::new(house, Callers::One(caller))
    }

    pub(super) fn bus(house: &House) -> Arc<Self> {
        Self::new(house, Callers::Many(Mutex::default()))
    }

    fn new(house: &House, callers: Callers) -> Arc<Self> {
        let (service, agents) = (Arc::clone(&house.service), Arc::clone(&house.agents));
        Arc::new(Self { service, agents, callers, shown_tokens: Mutex::default() })
    }

    /// Notes that a token has an object.
    pub(super) fn show_token(&self, id: &str) {
        if let Ok(mut shown) = self.shown_tokens.lock() {
            shown.insert(id.to_owned());
        }
    }

    /// Those that have an object and are none of `now`, which are noted as having one.
    pub(super) fn tokens_gone<'a>(&self, now: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
        let now: BTreeSet<_> = now.cloned().collect();
        let Ok(mut shown) = self.shown_tokens.lock() else { return BTreeSet::new() };
        let gone = shown.difference(&now).cloned().collect();
        *shown = now;
        gone
    }

    /// Whoever sent this call. On every connection its uid must be the daemon's own.
    pub(super) async fn caller(&self, header: &Header<'_>, connection: &Connection) -> Result<Caller, Error> {
        let callers = match &self.callers {
            Callers::One(caller) => return Ok(caller.clone()),
            Callers::Many(callers) => callers,
        };
        let sender = header.sender().ok_or_else(Error::not_authorized)?;
        if let Ok(callers) = callers.lock()
            && let Some((caller, _)) = callers.get(sender.as_str())
        {
            return Ok(caller.clone());
        }
        let bus = DBusProxy::new(connection).await?;
        let name = BusName::from(sender.clone());
        let credentials =
            bus.get_connection_credentials(name).await.map_err(|_it_is_gone| Error::not_authorized())?;
        let uid = credentials.unix_user_id().ok_or_else(Error::not_authorized)?;
        if uid != rustix::process::geteuid().as_raw() {
            return Err(Error::not_authorized());
        }
        let (sender_end, presence) = watch::channel(());
        let caller = Caller::new(uid, credentials.process_id().unwrap_or(0), sender.to_string(), presence);
        match callers.lock() {
            // Another call of the same client may have been quicker: there is one presence for all of them.
            Ok(mut callers) => {
                let (caller, _) = callers.entry(sender.to_string()).or_insert((caller, sender_end));
                Ok(caller.clone())
            }
            Err(_poisoned) => Err(Error::failed("the list of callers is lost")),
        }
    }

    /// The same, where the policy lets them do it.
    pub(super) async fn caller_who_may(
        &self,
        act: Act,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<Caller, Error> {
        let caller = self.caller(header, connection).await?;
        self.service.admit(&caller, act).await?;
        Ok(caller)
    }

    /// Lets a property be read by whoever may call. No header: the daemon reads it itself, for a signal.
    pub(super) async fn admit(&self, header: Option<Header<'_>>, connection: &Connection) -> fdo::Result<()> {
        let Some(header) = header else { return Ok(()) };
        let admitted = self.caller(&header, connection).await;
        admitted
            .map(|_caller| ())
            .map_err(|_refused| fdo::Error::AccessDenied("this is another user's".to_owned()))
    }

    /// A unique name left the bus.
    pub(super) fn forget(&self, name: &str) {
        if let Callers::Many(callers) = &self.callers
            && let Ok(mut callers) = callers.lock()
        {
            callers.remove(name);
        }
    }

    /// The way to the people behind a caller.
    pub(super) fn prompter(&self, caller: &Caller, connection: &Connection) -> AgentPrompter {
        AgentPrompter::new(Arc::clone(&self.agents), caller.clone(), self.peer(caller, connection))
    }

    pub(super) fn peer(&self, caller: &Caller, connection: &Connection) -> Peer {
        let name = match &self.callers {
            Callers::One(_) => None,
            Callers::Many(_) => Some(caller.connection.clone()),
        };
        Peer { connection: connection.clone(), name }
    }
}

/// Works for a caller as long as it is there; what it started is given up when it vanishes.
pub(super) async fn while_there<R, E: Into<Error>>(
    caller: &Caller,
    work: impl Future<Output = Result<R, E>>,
) -> Result<R, Error> {
    tokio::select! {
        result = work => result.map_err(Into::into),
        () = caller.gone() => Err(crate::service::Error::Cancelled.into()),
    }
}
