//! The agent: answers the daemon's questions for a PIN, shows what a touch is for, and takes a refusal back to it.
//!
//! That of a command serves this command and nobody else; what it refused is remembered, so that the command can
//! tell the real cause.

mod service;

use crate::cli::daemon::Daemon;
use crate::cli::error::Error;
use crate::cli::handover;
use crate::cli::pin::PinFiles;
use crate::cli::prompt::Prompt;
use crate::cli::recovery;
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refusals;
use crate::cli::surface::Surface;
use crate::dbus::names::{AGENT_PATH, MANAGER_PATH};
use crate::dbus::proxy::{PinRequest, PromptSignal, TouchRequest};
use service::Service;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use zbus::export::futures_core::Stream as _;
use zbus::message::{Header, Message, Type};
use zbus::names::OwnedUniqueName;
use zbus::{MatchRule, MessageStream, ObjectPath};
use zeroize::Zeroizing;

/// Whose prompts it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Those of its own command.
    Itself,
    /// Those of all programs of the user.
    User,
}

/// What is answered from files.
pub(super) struct Files {
    pub(super) pins: PinFiles,
    /// `--recovery-code-file`.
    pub(super) code: Option<PathBuf>,
}

/// An agent, registered for as long as its connection lives.
pub(super) struct Agent {
    shared: Arc<Shared>,
    /// Ends with the connection.
    listening: JoinHandle<()>,
}

struct Shared {
    /// Who may call: the daemon's name on the bus. On a private socket there is nobody else.
    daemon: Option<OwnedUniqueName>,
    serves: Serves,
    /// `--token`.
    token: Option<String>,
    surfaces: Vec<Surface>,
    pins: tokio::sync::Mutex<PinFiles>,
    /// `--recovery-code-file`.
    code: Option<PathBuf>,
    refusal: Mutex<Option<Refusal>>,
}

impl Agent {
    /// Serves the agent and tells the daemon.
    pub(super) async fn register(
        daemon: &Daemon,
        serves: Serves,
        surfaces: Vec<Surface>,
        mut refusals: Refusals,
        files: Files,
        token: Option<String>,
    ) -> Result<Self, Error> {
        let name = daemon.unique_name().await?;
        let (pins, refusal) = (tokio::sync::Mutex::new(files.pins), Mutex::default());
        let shared = Shared { daemon: name, serves, token, surfaces, pins, code: files.code, refusal };
        let shared = Arc::new(shared);
        let mut prompts =
            MessageStream::for_match_rule(prompts(shared.daemon.as_ref())?, daemon.connection(), None)
                .await?;
        let watcher = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Some(message) =
                std::future::poll_fn(|context| Pin::new(&mut prompts).poll_next(context)).await
            {
                if let Ok(message) = message {
                    watcher.hear(&message).await;
                }
            }
        });
        let (refused, taker) = (Arc::clone(&shared), daemon.clone());
        tokio::spawn(async move {
            while let Some((prompt, why)) = refusals.recv().await {
                refused.remember(why);
                if let Ok(manager) = taker.manager().await {
                    let _it_is_over = manager.refuse(prompt).await;
                }
            }
        });
        let service = Service(Arc::clone(&shared));
        daemon.connection().object_server().at(AGENT_PATH, service).await?;
        let (manager, path) = (daemon.manager().await?, ObjectPath::from_static_str_unchecked(AGENT_PATH));
        match serves {
            Serves::Itself => manager.register_own_agent(&path).await?,
            Serves::User => manager.register_agent(&path).await?,
        }
        Ok(Self { shared, listening })
    }

    /// Waits until the connection is lost.
    pub(super) async fn lost(&mut self) {
        let _ended = (&mut self.listening).await;
    }

    /// Takes what is left off the surfaces, and gives what was refused, if anything was.
    pub(super) async fn finish(self) -> Option<Refusal> {
        for surface in &self.shared.surfaces {
            surface.close().await;
        }
        self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn prompts(daemon: Option<&OwnedUniqueName>) -> Result<MatchRule<'_>, zbus::Error> {
    let rule =
        MatchRule::builder().msg_type(Type::Signal).path(MANAGER_PATH).interface("org.rootseal.Manager1");
    match daemon {
        Some(name) => rule.sender(name).build(),
        None => rule.build(),
    }
}

fn hand_over(secret: &[u8]) -> Result<zbus::OwnedFd, Refusal> {
    handover::inlet(secret).map(Into::into).map_err(|error| Refusal::Terminal(error.to_string()))
}

impl Shared {
    /// A message from the bus; only the daemon's word counts.
    fn is_daemon(&self, header: &Header<'_>) -> bool {
        self.daemon.as_ref().is_none_or(|daemon| header.sender().is_some_and(|sender| sender == &**daemon))
    }

    /// Shows what the daemon waits for. PIN and touch reach the agent by call, unless another one is asked.
    async fn hear(&self, message: &Message) {
        let header = message.header();
        if !self.is_daemon(&header) {
            return;
        }
        match header.member().map(zbus::names::MemberName::as_str) {
            Some("Prompt") => {
                let prompt = message.body().deserialize::<PromptSignal>().ok();
                let wanted = |prompt: &PromptSignal| prompt.kind == "wait" || self.serves == Serves::User;
                if let Some(prompt) = prompt.filter(wanted).as_ref().and_then(Prompt::told) {
                    for surface in &self.surfaces {
                        let _shown_elsewhere = surface.show(&prompt).await;
                    }
                }
            }
            Some("PromptDone") => {
                if let Ok(number) = message.body().deserialize() {
                    self.clear(number).await;
                }
            }
            Some(_) | None => {}
        }
    }

    fn right_token(&self, asked: &str) -> Result<(), Refusal> {
        match &self.token {
            Some(wanted) if wanted.split(',').all(|wanted| wanted != asked) => {
                Err(Refusal::OtherToken { asked: asked.to_owned(), wanted: wanted.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn pin(&self, request: &PinRequest) -> Result<zbus::OwnedFd, Refusal> {
        if request.is_recovery_code() {
            let code = self.code(request).await?;
            return hand_over(&code);
        }
        if !request.is_oath_password() {
            self.right_token(&request.token)?;
        }
        if let Some(pin) = self.pins.lock().await.answer(request)? {
            return pin.with(hand_over);
        }
        if let Some(typed) = self.typed(&Prompt::secret(request)).await {
            return typed?.with(hand_over);
        }
        let (label, token) = (request.label.clone(), request.token.clone());
        Err(if request.is_oath_password() {
            Refusal::NoTerminalForPassword { label, token }
        } else {
            Refusal::NoTerminal { label, token }
        })
    }

    /// The recovery code, from its file or typed line by line.
    async fn code(&self, request: &PinRequest) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        match &self.code {
            // What failed once fails again: the daemon says what is wrong with it.
            Some(path) if request.failed => return Err(Refusal::CodeWrong { path: path.clone() }),
            Some(path) => return recovery::read(path),
            None => {}
        }
        let mut code = Zeroizing::new(Vec::with_capacity(1024));
        for line in 1..=4 {
            let typed = self.typed(&Prompt::code(request, line)).await;
            typed.ok_or(Refusal::NoTerminalForCode)??.with(|line| code.extend_from_slice(line));
            // Pasted in one piece, as the QR code says it.
            if code.iter().filter(|byte| byte.is_ascii_alphanumeric()).count() >= 64 {
                break;
            }
        }
        Ok(code)
    }

    /// What is typed on the first surface that can ask; `None`: none of them can.
    async fn typed(&self, prompt: &Prompt) -> Option<Result<crate::secret::Pin, Refusal>> {
        // Where it cannot be typed, it can be said that it is asked for.
        for surface in self.surfaces.iter().filter(|surface| !surface.can_ask()) {
            if self.serves == Serves::User {
                let _shown_elsewhere = surface.show(prompt).await;
            }
        }
        for surface in &self.surfaces {
            if let Some(typed) = surface.ask(prompt).await {
                return Some(typed);
            }
        }
        None
    }

    /// One surface is enough. A no on any of them comes by another way.
    async fn touch(&self, request: &TouchRequest) -> Result<(), Refusal> {
        let prompt = Prompt::touch(request);
        let mut outcome = Err(Refusal::NoPrompt);
        for surface in &self.surfaces {
            match surface.show(&prompt).await {
                Err(Refusal::Refused) => return Err(Refusal::Refused),
                shown if outcome.is_err() => outcome = shown,
                Ok(()) | Err(_) => {}
            }
        }
        outcome
    }

    async fn clear(&self, number: u64) {
        for surface in &self.surfaces {
            surface.clear(number).await;
        }
    }

    fn remember(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}
