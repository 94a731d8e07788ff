//! Prompts as desktop notifications: they tell, and can refuse; nothing can be typed on them.
//!
//! The Desktop Notifications Specification 1.2. A server may vanish at any time: nothing waits for it for long.

use crate::cli::daemon;
use crate::cli::prompt::{Kind, Prompt};
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refuser;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zbus::export::futures_core::Stream as _;
use zbus::message::{Message, Type};
use zbus::proxy::CacheProperties;
use zbus::{MatchRule, MessageStream, Variant};

/// How long a server may take for a call.
const PATIENCE: Duration = Duration::from_secs(3);
const REFUSE: &str = "refuse";
const CRITICAL: u8 = 2;

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Server {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;
    #[expect(clippy::too_many_arguments, reason = "so says the specification")]
    fn notify(
        &self,
        program: &str,
        replaces: u32,
        icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: &HashMap<&str, Variant<'_>>,
        timeout: i32,
    ) -> zbus::Result<u32>;
    fn close_notification(&self, id: u32) -> zbus::Result<()>;
}

pub(super) struct Notifications {
    server: ServerProxy<'static>,
    can: Capabilities,
    shown: Arc<Mutex<Shown>>,
    /// One call at a time, so that the second text of a prompt replaces the first one.
    turn: tokio::sync::Mutex<()>,
}

/// The server's numbers of what is on show, by ours; `None`: on its way.
type Shown = HashMap<u64, Option<u32>>;

#[derive(Clone, Copy)]
struct Capabilities {
    actions: bool,
    body: bool,
    markup: bool,
}

impl Capabilities {
    fn read(capabilities: &[String]) -> Self {
        let has = |name: &str| capabilities.iter().any(|capability| capability == name);
        Self { actions: has("actions"), body: has("body"), markup: has("body-markup") }
    }

    /// Heading and text.
    fn words(self, prompt: &Prompt) -> (String, String) {
        let heading = match prompt.kind {
            Kind::Secret => "A token needs a PIN",
            Kind::Touch => "A token is used",
            Kind::Wait => "A token is waited for",
        };
        match (self.body, self.markup) {
            (false, _) => (prompt.text.clone(), String::new()),
            (true, false) => (heading.to_owned(), prompt.text.clone()),
            (true, true) => (heading.to_owned(), escaped(&prompt.text)),
        }
    }
}

impl Notifications {
    /// The server on the session bus, if there is one that answers.
    pub(super) async fn find(refuser: &Refuser) -> Option<Self> {
        tokio::time::timeout(PATIENCE, Self::connect(refuser)).await.ok()?
    }

    async fn connect(refuser: &Refuser) -> Option<Self> {
        let connection = daemon::session_bus().await?;
        let server = ServerProxy::builder(&connection).cache_properties(CacheProperties::No);
        let server = server.build().await.ok()?;
        let can = Capabilities::read(&server.get_capabilities().await.ok()?);
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface("org.freedesktop.Notifications")
            .member("ActionInvoked")
            .build()
            .ok()?;
        let mut signals = MessageStream::for_match_rule(rule, &connection, None).await.ok()?;
        let shown: Arc<Mutex<Shown>> = Arc::default();
        let (watched, refuser) = (Arc::clone(&shown), refuser.clone());
        tokio::spawn(async move {
            while let Some(Ok(signal)) =
                std::future::poll_fn(|context| Pin::new(&mut signals).poll_next(context)).await
            {
                if let Some(prompt) = refused(&signal, &lock(&watched)) {
                    refuser.refuse(prompt, Refusal::Refused);
                }
            }
        });
        Some(Self { server, can, shown, turn: tokio::sync::Mutex::default() })
    }

    /// Returns when the server has taken it.
    pub(super) async fn show(&self, prompt: &Prompt) -> Result<(), Refusal> {
        let (heading, text) = self.can.words(prompt);
        let _turn = self.turn.lock().await;
        let actions: &[&str] = if self.can.actions { &[REFUSE, "Refuse"] } else { &[] };
        let hints = HashMap::from([("urgency", Variant::from(CRITICAL))]);
        let replaces = lock(&self.shown).entry(prompt.number).or_default().unwrap_or(0);
        let notify =
            self.server.notify("rootseal", replaces, "dialog-password", &heading, &text, actions, &hints, 0);
        let failed = |why: String| Refusal::Notification(why);
        let id = match tokio::time::timeout(PATIENCE, notify).await {
            Ok(shown) => shown.map_err(|error| failed(error.to_string()))?,
            Err(_elapsed) => return Err(failed("the desktop does not answer".to_owned())),
        };
        if let Some(shown) = lock(&self.shown).get_mut(&prompt.number) {
            *shown = Some(id);
            return Ok(());
        }
        // It is over by now.
        self.remove(id).await;
        Ok(())
    }

    pub(super) async fn clear(&self, prompt: u64) {
        let id = lock(&self.shown).remove(&prompt).flatten();
        if let Some(id) = id {
            self.remove(id).await;
        }
    }

    async fn remove(&self, id: u32) {
        let _gone = tokio::time::timeout(PATIENCE, self.server.close_notification(id)).await;
    }

    pub(super) async fn close(&self) {
        let prompts: Vec<_> = lock(&self.shown).keys().copied().collect();
        for prompt in prompts {
            self.clear(prompt).await;
        }
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The prompt that a click refuses. Anybody on the bus could send such a signal, and refuse by other ways as well.
fn refused(signal: &Message, shown: &Shown) -> Option<u64> {
    let (id, action): (u32, String) = signal.body().deserialize().ok()?;
    let prompt = shown.iter().find(|(_, shown)| **shown == Some(id))?.0;
    (action == REFUSE).then_some(*prompt)
}

/// Text for a server that takes it for markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_what_it_shows_as_plain_text() {
        let text = "because: <b>&amp;".to_owned();
        let prompt = Prompt { number: 1, kind: Kind::Touch, text, secret: "PIN", failed: false, deadline: 0 };
        let words = |capabilities: &[&str]| {
            let capabilities: Vec<_> = capabilities.iter().map(|name| (*name).to_owned()).collect();
            Capabilities::read(&capabilities).words(&prompt)
        };
        let heading = || "A token is used".to_owned();
        assert_eq!(words(&["body", "body-markup"]), (heading(), "because: &lt;b&gt;&amp;amp;".to_owned()));
        assert_eq!(words(&["body"]), (heading(), prompt.text.clone()));
        assert_eq!(words(&["actions"]), (prompt.text.clone(), String::new()));
    }
}
