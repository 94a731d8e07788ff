//! Agents: programs that show prompts. A PIN is asked of the caller's own agent, else of one other of the same
//! user; a touch is announced to all of them.

use super::names::{AGENT_INTERFACE, MANAGER_INTERFACE, MANAGER_PATH};
use crate::secret::{Pin, RecoveryCode};
use crate::service::caller::Caller;
use crate::token::prompter::{Answer, Ask, Prompter, Refusal};
use crate::token::recovery::{self, Misread};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use zbus::Connection;
use zbus::{OwnedFd, OwnedObjectPath, Variant};
use zeroize::Zeroizing;

/// The longest PIN that a token takes has 63 bytes (CTAP 2.1 section 6.5.1).
const LONGEST_PIN: usize = 64;

/// How long an agent may take for what needs no person.
const MOMENT: Duration = Duration::from_secs(1);

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
struct Agent {
    owner: Caller,
    peer: Peer,
    path: OwnedObjectPath,
    serves: Serves,
}

/// All agents of all users.
#[derive(Debug, Default)]
pub(super) struct Agents(Mutex<Vec<Agent>>);

impl Agents {
    /// One agent for each connection: a later one replaces it.
    pub(super) fn register(&self, owner: Caller, peer: Peer, path: OwnedObjectPath, serves: Serves) {
        if let Ok(mut agents) = self.0.lock() {
            agents.retain(|agent| agent.is_there() && agent.owner.connection != owner.connection);
            agents.push(Agent { owner, peer, path, serves });
        }
    }

    pub(super) fn unregister(&self, owner: &Caller, path: &OwnedObjectPath) -> bool {
        let Ok(mut agents) = self.0.lock() else { return false };
        let before = agents.len();
        agents.retain(|agent| !(agent.owner.connection == owner.connection && agent.path == *path));
        agents.len() < before
    }

    /// Those of a user, the caller's own first, then the latest.
    fn of(&self, caller: &Caller) -> Vec<Agent> {
        let Ok(mut agents) = self.0.lock() else { return Vec::new() };
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

    async fn call<B>(&self, member: &str, body: &B) -> Result<zbus::Message, Refusal>
    where
        B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType,
    {
        let name = self.peer.name.as_deref();
        let call = self.peer.connection.call_method(name, &self.path, Some(AGENT_INTERFACE), member, body);
        tokio::select! {
            reply = call => reply.map_err(|_its_own_reason| Refusal::Refused),
            () = self.owner.gone() => Err(Refusal::NoSurface),
        }
    }
}

/// The way to the people behind one caller, for one operation.
pub(super) struct AgentPrompter {
    agents: Arc<Agents>,
    caller: Caller,
    home: Peer,
    open: AtomicBool,
}

type Dict<'a> = HashMap<&'static str, Variant<'a>>;

impl AgentPrompter {
    pub(super) fn new(agents: Arc<Agents>, caller: Caller, home: Peer) -> Self {
        Self { agents, caller, home, open: AtomicBool::new(false) }
    }

    fn dict(ask: &Ask) -> Dict<'_> {
        HashMap::from([
            ("token", Variant::from(ask.token.as_str())),
            ("label", Variant::from(ask.label.as_str())),
            ("text", Variant::from(ask.text.as_str())),
            ("deadline", Variant::from(ask.deadline)),
        ])
    }

    /// Tells the caller and its user's agents, for whatever they show besides the prompt itself.
    async fn signal(&self, kind: &str, text: &str, token: &str, deadline: u64) {
        self.open.store(true, Ordering::Relaxed);
        let caller = self.caller.to_string();
        let body: Dict<'_> = HashMap::from([
            ("kind", Variant::from(kind)),
            ("text", Variant::from(text)),
            ("token", Variant::from(token)),
            ("caller", Variant::from(caller.as_str())),
            ("deadline", Variant::from(deadline)),
        ]);
        for peer in self.audience() {
            emit(&peer, "Prompt", &(&body,)).await;
        }
    }

    /// Asks one agent for something that a person types: `secret` says what.
    async fn typed(
        &self,
        secret: &str,
        text: &str,
        ask: &Ask,
        tries: u32,
        failed: bool,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let agent = self.agents.of(&self.caller).into_iter().next().ok_or(Refusal::NoSurface)?;
        self.signal("pin", text, &ask.token, ask.deadline).await;
        let mut body = Self::dict(ask);
        body.insert("secret", Variant::from(secret));
        body.insert("retries", Variant::from(tries));
        body.insert("failed", Variant::from(failed));
        let reply = agent.call("RequestPin", &(body,)).await?;
        let typed: OwnedFd = reply.body().deserialize().map_err(|_another_type| Refusal::Refused)?;
        super::pipe::read_pin(typed.into()).await.map_err(|_unreadable| Refusal::Refused)
    }

    /// The caller's own connection and those of its user's agents, each once.
    fn audience(&self) -> Vec<Peer> {
        let others = self.agents.of(&self.caller).into_iter();
        let others = others.filter(|agent| agent.owner.connection != self.caller.connection);
        std::iter::once(self.home.clone()).chain(others.map(|agent| agent.peer)).collect()
    }
}

async fn emit<B>(peer: &Peer, signal: &str, body: &B)
where
    B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType,
{
    let name = peer.name.as_deref();
    let _whoever_is_gone_needs_no_signal =
        peer.connection.emit_signal(name, MANAGER_PATH, MANAGER_INTERFACE, signal, body).await;
}

impl Prompter for AgentPrompter {
    fn available(&self) -> bool {
        !self.agents.of(&self.caller).is_empty()
    }

    fn pin(&self, ask: Ask, tries: u32, failed: bool) -> Answer<'_, Pin> {
        Box::pin(async move {
            let text = format!("PIN of {}: {}", ask.label, ask.text);
            self.typed("pin", &text, &ask, tries, failed).await.and_then(pin)
        })
    }

    fn password(&self, ask: Ask, failed: bool) -> Answer<'_, Pin> {
        Box::pin(async move {
            let text = format!("Password (not the PIN) of the OATH accounts on {}: {}", ask.label, ask.text);
            self.typed("oath-password", &text, &ask, u32::MAX, failed).await.and_then(pin)
        })
    }

    fn recovery_code(&self, ask: Ask, failed: bool) -> Answer<'_, Result<RecoveryCode, Misread>> {
        Box::pin(async move {
            let text = format!("The {}: {}", ask.label, ask.text);
            let typed = self.typed("recovery-code", &text, &ask, u32::MAX, failed).await?;
            Ok(recovery::read(&typed))
        })
    }

    fn touch(&self, ask: Ask) -> Answer<'_, ()> {
        Box::pin(async move {
            let agents = self.agents.of(&self.caller);
            if agents.is_empty() {
                return Err(Refusal::NoSurface);
            }
            self.open.store(true, Ordering::Relaxed);
            let mut shown = JoinSet::new();
            for agent in agents {
                let ask = ask.clone();
                shown.spawn(async move {
                    let mut body = Self::dict(&ask);
                    body.insert("touch", Variant::from(ask.touch));
                    agent.call("RequestTouch", &(body,)).await.map(|_reply| ())
                });
            }
            first_seen(shown).await
        })
    }

    fn blinking(&self, ask: Ask) -> Answer<'_, ()> {
        Box::pin(async move {
            let text = format!("Touch {}: {}", ask.label, ask.text);
            self.signal("touch", &text, &ask.token, ask.deadline).await;
            Ok(())
        })
    }

    fn waiting(&self, text: String, until: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            self.signal("wait", &text, "", until).await;
            Ok(())
        })
    }

    fn done(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            if self.open.swap(false, Ordering::Relaxed) {
                finish(self.agents.of(&self.caller), self.audience()).await;
            }
            Ok(())
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is wiped here")]
fn pin(typed: Zeroizing<Vec<u8>>) -> Result<Pin, Refusal> {
    if typed.len() > LONGEST_PIN { Err(Refusal::Refused) } else { Ok(Pin::copy_from(&typed)) }
}

/// Takes the prompt off every surface, also when the caller went away in the middle of it.
impl Drop for AgentPrompter {
    fn drop(&mut self) {
        if self.open.swap(false, Ordering::Relaxed) {
            let (agents, audience) = (self.agents.of(&self.caller), self.audience());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(finish(agents, audience));
            }
        }
    }
}

/// Whether the text was shown. One surface is enough: the others have a moment to refuse, and whoever sleeps
/// through it holds nobody up.
async fn first_seen(mut shown: JoinSet<Result<(), Refusal>>) -> Result<(), Refusal> {
    let mut seen = Err(Refusal::NoSurface);
    loop {
        let next = if seen.is_ok() {
            tokio::time::timeout(MOMENT, shown.join_next()).await.unwrap_or(None)
        } else {
            shown.join_next().await
        };
        match next {
            Some(Ok(Ok(()))) => seen = Ok(()),
            // One no is enough, whoever else has seen it.
            Some(Ok(Err(Refusal::Refused))) => return Err(Refusal::Refused),
            Some(Ok(Err(Refusal::NoSurface)) | Err(_)) => {}
            None => return seen,
        }
    }
}

/// Takes the prompt off all surfaces at once; one that does not answer is left behind.
async fn finish(agents: Vec<Agent>, audience: Vec<Peer>) {
    let mut told = JoinSet::new();
    for agent in agents {
        told.spawn(async move {
            let _whoever_is_gone_shows_no_prompt = agent.call("Done", &()).await;
        });
    }
    for peer in audience {
        told.spawn(async move { emit(&peer, "PromptDone", &()).await });
    }
    let _the_rest_is_aborted =
        tokio::time::timeout(MOMENT, async { while told.join_next().await.is_some() {} }).await;
}
