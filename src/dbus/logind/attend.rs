//! One logind, from when it is there until it is gone. While it is about to put the machine to sleep, it waits for the
//! vault to be locked: as long as our inhibitor is open.

use super::News;
use super::sessions::{Session, Sessions};
use crate::service::{Occasion, Service};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use zbus::message::{Message, Type as MessageType};
use zbus::names::OwnedUniqueName;
use zbus::{
    Connection, DeserializeDict, DynamicType, MatchRule, MessageStream, OwnedFd, OwnedObjectPath,
    OwnedVariant, Type,
};

const OBJECTS: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const SEAT: &str = "org.freedesktop.login1.Seat";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What is asked of a session.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
struct About {
    user: (u32, OwnedObjectPath),
    seat: (String, OwnedObjectPath),
    class: String,
    state: String,
    active: bool,
    locked_hint: bool,
}

/// What may change of a session, or of a seat.
#[derive(Debug, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
struct Changed {
    active: Option<bool>,
    locked_hint: Option<bool>,
    active_session: Option<(String, OwnedObjectPath)>,
}

/// Tells the service what this logind tells.
pub(super) async fn attend(
    bus: &Connection,
    owner: &OwnedUniqueName,
    service: &Service,
    sessions: &mut Sessions,
    news: &mut News,
) -> zbus::Result<()> {
    // By its unique name, which nobody else can send from.
    let rule = MatchRule::builder()
        .msg_type(MessageType::Signal)
        .sender(owner.as_ref())
        .path_namespace(OBJECTS)
        .build()?;
    let mut signals = MessageStream::for_match_rule(rule, bus, None).await?;
    // Taken in at once: replies are behind them on the same wire.
    let (hear, mut heard) = mpsc::unbounded_channel();
    let hearing = async {
        while let Some(Ok(signal)) = signals.next().await {
            if hear.send(signal).is_err() {
                return;
            }
        }
    };
    let mut logind = Logind { bus, owner, service, sessions, inhibitor: None };
    let attending = async {
        logind.begin().await?;
        news.there();
        while let Some(signal) = heard.recv().await {
            if let Err(error) = logind.hear(&signal).await {
                tracing::debug!(%error, "a signal of logind's that cannot be read");
            }
        }
        Ok(())
    };
    tokio::select! {
        () = hearing => Ok(()),
        ended = attending => ended,
    }
}

struct Logind<'a> {
    bus: &'a Connection,
    owner: &'a OwnedUniqueName,
    service: &'a Service,
    sessions: &'a mut Sessions,
    /// The machine does not sleep while this is open, for as long as logind is patient.
    inhibitor: Option<OwnedFd>,
}

impl Logind<'_> {
    async fn begin(&mut self) -> zbus::Result<()> {
        self.inhibit().await;
        let about_to_sleep: bool = self.property(OBJECTS, MANAGER, "PreparingForSleep").await?;
        if about_to_sleep {
            self.prepare(Occasion::Sleep, true).await;
        } else {
            self.service.awake();
        }
        let listed: Vec<(String, u32, String, String, OwnedObjectPath)> =
            self.call(OBJECTS, MANAGER, "ListSessions", &()).await?;
        let mut now = Sessions::default();
        for (.., path) in listed {
            if let Some(session) = self.ask(&path).await {
                now.add(&path, session);
            }
        }
        for occasion in self.sessions.renew(now) {
            self.happened(Some(occasion)).await;
        }
        Ok(())
    }

    async fn hear(&mut self, signal: &Message) -> zbus::Result<()> {
        let (header, body) = (signal.header(), signal.body());
        let (Some(path), Some(interface), Some(member)) =
            (header.path(), header.interface(), header.member())
        else {
            return Ok(());
        };
        match (interface.as_str(), member.as_str()) {
            (MANAGER, "PrepareForSleep") => self.prepare(Occasion::Sleep, body.deserialize()?).await,
            (MANAGER, "PrepareForShutdown") => self.prepare(Occasion::Shutdown, body.deserialize()?).await,
            (MANAGER, "SessionNew") => {
                let (_id, path): (String, OwnedObjectPath) = body.deserialize()?;
                self.learn(&path).await;
            }
            (MANAGER, "SessionRemoved") => {
                let (_id, path): (String, OwnedObjectPath) = body.deserialize()?;
                let occasion = self.sessions.removed(&path);
                self.happened(occasion).await;
            }
            (SESSION, "Lock") => self.locked(path).await,
            (PROPERTIES, "PropertiesChanged") => {
                let (of, changed, _): (String, Changed, Vec<String>) = body.deserialize()?;
                if changed.locked_hint == Some(true) {
                    self.locked(path).await;
                }
                if changed.active == Some(false) {
                    self.left(path).await?;
                }
                if let (SEAT, Some((_id, session))) = (of.as_str(), changed.active_session) {
                    let user = self.user_of(&session).await;
                    let occasion = self.sessions.front(path, user);
                    self.happened(occasion).await;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The inhibitor is let go when all is wiped, and taken again afterwards.
    async fn prepare(&mut self, occasion: Occasion, begins: bool) {
        if !begins {
            self.service.awake();
            self.inhibit().await;
        } else if self.service.happened(occasion).await.is_ok() {
            self.inhibitor = None;
        }
    }

    async fn inhibit(&mut self) {
        if !self.service.lock_when().machine_sleeps {
            return;
        }
        let arguments = ("sleep:shutdown", "rootseal", "Locks the vault first", "delay");
        match self.call(OBJECTS, MANAGER, "Inhibit", &arguments).await {
            Ok(inhibitor) => self.inhibitor = Some(inhibitor),
            Err(error) => {
                tracing::warn!(%error, "logind does not wait: the machine may sleep before the vault is locked");
            }
        }
    }

    async fn locked(&mut self, path: &str) {
        self.learn(path).await;
        let occasion = self.sessions.locked(path);
        self.happened(occasion).await;
    }

    /// A session is not in front any more.
    async fn left(&mut self, path: &str) -> zbus::Result<()> {
        self.learn(path).await;
        let Some(seat) = self.sessions.get(path).and_then(|session| session.seat.clone()) else {
            return Ok(());
        };
        // Where the seat cannot tell, nobody is.
        let active = self.property::<(String, OwnedObjectPath)>(&seat, SEAT, "ActiveSession").await;
        let user = match active {
            Ok((_id, session)) => self.user_of(&session).await,
            Err(_it_is_gone) => None,
        };
        let occasion = self.sessions.left(path, user);
        self.happened(occasion).await;
        Ok(())
    }

    async fn user_of(&mut self, path: &str) -> Option<u32> {
        self.learn(path).await;
        self.sessions.get(path).map(|session| session.uid)
    }

    async fn learn(&mut self, path: &str) {
        if self.sessions.get(path).is_none()
            && let Some(session) = self.ask(path).await
        {
            self.sessions.add(path, session);
        }
    }

    /// A session, if it is one of a person: not a greeter, a timer or what outlives a logout.
    async fn ask(&self, path: &str) -> Option<Session> {
        let about: About = self.call(path, PROPERTIES, "GetAll", &SESSION).await.ok()?;
        let About { user, seat, class, state, active, locked_hint: locked } = about;
        let seat = (!seat.0.is_empty()).then(|| seat.1.to_string());
        (class.starts_with("user") && state != "closing").then_some(Session {
            uid: user.0,
            seat,
            active,
            locked,
        })
    }

    async fn property<T>(&self, path: &str, interface: &str, name: &str) -> zbus::Result<T>
    where
        T: TryFrom<OwnedVariant>,
        zbus::Error: From<T::Error>,
    {
        let value: OwnedVariant = self.call(path, PROPERTIES, "Get", &(interface, name)).await?;
        Ok(T::try_from(value)?)
    }

    async fn call<T: DeserializeOwned + Type>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &(impl Serialize + DynamicType + Sync),
    ) -> zbus::Result<T> {
        let reply = self.bus.call_method(Some(self.owner), path, Some(interface), member, body).await?;
        reply.body().deserialize()
    }

    async fn happened(&self, occasion: Option<Occasion>) {
        if let Some(occasion) = occasion
            && self.service.happened(occasion).await.is_err()
        {
            tracing::debug!("the daemon is stopping, and locks by itself");
        }
    }
}
