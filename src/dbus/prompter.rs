//! Prompts on the bus: a PIN is asked of the caller's own agent, else of one other of the same user; a touch is
//! announced to all of them, and each of them can refuse it until it is over.

use super::agents::{Agent, Agents, Peer};
use super::names::{MANAGER_INTERFACE, MANAGER_PATH};
use crate::secret::{Pin, RecoveryCode};
use crate::service::caller::Caller;
use crate::token::prompter::{Answer, Ask, Prompter, Refusal};
use crate::token::recovery::{self, Misread};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zbus::{OwnedFd, Variant};
use zeroize::Zeroizing;

/// The longest PIN that a token takes has 63 bytes (CTAP 2.1 section 6.5.1).
const LONGEST_PIN: usize = 64;

/// How long an agent may take for what needs no person.
const MOMENT: Duration = Duration::from_secs(1);

/// The way to the people behind one caller, for one operation.
pub(super) struct AgentPrompter {
    agents: Arc<Agents>,
    caller: Caller,
    home: Peer,
    /// What is on show: its number, and whether somebody said no.
    prompt: Mutex<Option<(u64, watch::Receiver<bool>)>>,
}

type Dict<'a> = HashMap<&'static str, Variant<'a>>;

impl AgentPrompter {
    pub(super) fn new(agents: Arc<Agents>, caller: Caller, home: Peer) -> Self {
        Self { agents, caller, home, prompt: Mutex::default() }
    }

    /// The number of what is on show; what follows until it is over is the same prompt.
    fn number(&self) -> u64 {
        let Ok(mut prompt) = self.prompt.lock() else { return 0 };
        prompt.get_or_insert_with(|| self.agents.open(&self.caller)).0
    }

    /// The prompt is over: returns its number, if there was one.
    fn close(&self) -> Option<u64> {
        let (number, _) = self.prompt.lock().ok()?.take()?;
        self.agents.close(number);
        Some(number)
    }

    fn dict(ask: &Ask, number: u64) -> Dict<'_> {
        HashMap::from([
            ("prompt", Variant::from(number)),
            ("token", Variant::from(ask.token.as_str())),
            ("label", Variant::from(ask.label.as_str())),
            ("text", Variant::from(ask.text.as_str())),
            ("deadline", Variant::from(ask.deadline)),
        ])
    }

    /// Tells the caller and its user's agents, for whatever they show besides the prompt itself.
    async fn signal(&self, kind: &str, text: &str, token: &str, deadline: u64) {
        let (number, caller) = (self.number(), self.caller.to_string());
        let mut told = JoinSet::new();
        for peer in self.audience() {
            let body: Dict<'static> = HashMap::from([
                ("prompt", Variant::from(number)),
                ("kind", Variant::from(kind.to_owned())),
                ("text", Variant::from(text.to_owned())),
                ("token", Variant::from(token.to_owned())),
                ("caller", Variant::from(caller.clone())),
                ("deadline", Variant::from(deadline)),
            ]);
            told.spawn(async move { emit(&peer, "Prompt", &(body,)).await });
        }
        all_or_a_moment(told).await;
    }

    /// Asks for something that a person types, of the first agent that has a way to ask: `secret` says what.
    async fn typed(
        &self,
        secret: &str,
        text: &str,
        ask: &Ask,
        tries: u32,
        failed: bool,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let agents = self.agents.of(&self.caller);
        if agents.is_empty() {
            return Err(Refusal::NoSurface);
        }
        self.signal("pin", text, &ask.token, ask.deadline).await;
        let mut body = Self::dict(ask, self.number());
        body.insert("secret", Variant::from(secret));
        body.insert("retries", Variant::from(tries));
        body.insert("failed", Variant::from(failed));
        let body = (body,);
        for agent in agents {
            let typed = async { read(&agent.call("RequestPin", &body).await?).await };
            let typed = tokio::select! {
                biased;
                Err(refusal) = self.refused() => return Err(refusal),
                typed = typed => typed,
            };
            match typed {
                Err(Refusal::NoSurface) => {}
                typed => return typed,
            }
        }
        Err(Refusal::NoSurface)
    }

    /// The caller's own connection and those of its user's agents, each once.
    fn audience(&self) -> Vec<Peer> {
        let others = self.agents.of(&self.caller).into_iter();
        let others = others.filter(|agent| agent.owner.connection != self.caller.connection);
        std::iter::once(self.home.clone()).chain(others.map(|agent| agent.peer)).collect()
    }
}

/// What an agent answers with.
async fn read(answer: &zbus::Message) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let typed: OwnedFd = answer.body().deserialize().map_err(|_another_type| Refusal::Refused)?;
    super::pipe::read_pin(typed.into()).await.map_err(|_unreadable| Refusal::Refused)
}

#[expect(clippy::needless_pass_by_value, reason = "it is wiped here")]
fn pin(typed: Zeroizing<Vec<u8>>) -> Result<Pin, Refusal> {
    if typed.len() > LONGEST_PIN { Err(Refusal::Refused) } else { Ok(Pin::copy_from(&typed)) }
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
            let number = self.number();
            let mut shown = JoinSet::new();
            for agent in agents {
                let ask = ask.clone();
                shown.spawn(async move {
                    let mut body = Self::dict(&ask, number);
                    body.insert("touch", Variant::from(ask.touch));
                    agent.call("RequestTouch", &(body,)).await.map(|_reply| ())
                });
            }
            tokio::select! {
                biased;
                Err(refusal) = self.refused() => Err(refusal),
                seen = first_seen(shown) => seen,
            }
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

    fn refused(&self) -> Answer<'_, Infallible> {
        Box::pin(async move {
            let prompt = self.prompt.lock().ok().and_then(|prompt| Some(prompt.as_ref()?.1.clone()));
            if let Some(mut hears) = prompt
                && hears.wait_for(|refused| *refused).await.is_ok()
            {
                return Err(Refusal::Refused);
            }
            // Nothing is on show that could be refused.
            std::future::pending().await
        })
    }

    fn done(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            if let Some(number) = self.close() {
                finish(number, self.agents.of(&self.caller), self.audience()).await;
            }
            Ok(())
        })
    }
}

/// Takes the prompt off every surface, also when the caller went away in the middle of it.
impl Drop for AgentPrompter {
    fn drop(&mut self) {
        if let Some(number) = self.close() {
            let (agents, audience) = (self.agents.of(&self.caller), self.audience());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(finish(number, agents, audience));
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
async fn finish(number: u64, agents: Vec<Agent>, audience: Vec<Peer>) {
    let mut told = JoinSet::new();
    for agent in agents {
        told.spawn(async move {
            let _whoever_is_gone_shows_no_prompt = agent.call("Done", &(number,)).await;
        });
    }
    for peer in audience {
        told.spawn(async move { emit(&peer, "PromptDone", &(number,)).await });
    }
    all_or_a_moment(told).await;
}

/// Whoever does not read holds nobody up: the rest is aborted.
async fn all_or_a_moment(mut told: JoinSet<()>) {
    let all = async { while told.join_next().await.is_some() {} };
    let _the_rest_is_aborted = tokio::time::timeout(MOMENT, all).await;
}
