//! The agent: answers the daemon's questions for a PIN and shows what a touch is for.
//!
//! It serves the command that registered it and nobody else; what it refused is remembered, so that the command
//! can tell the real cause.

use crate::cli::daemon::Daemon;
use crate::cli::error::Error;
use crate::cli::handover;
use crate::cli::output;
use crate::cli::pin::PinFiles;
use crate::cli::recovery;
use crate::cli::refusal::Refusal;
use crate::cli::terminal::Terminal;
use crate::dbus::names::{AGENT_PATH, MANAGER_PATH};
use crate::dbus::proxy::{PinRequest, PromptSignal, TouchRequest};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use zbus::export::futures_core::Stream as _;
use zbus::message::{Header, Message, Type};
use zbus::names::OwnedUniqueName;
use zbus::{MatchRule, MessageStream, ObjectPath};
use zeroize::Zeroizing;

/// Where the user can be told why a token blinks.
pub(super) enum Surface {
    Terminal(Terminal),
    /// Standard error, where somebody is known to read it.
    Stderr,
}

impl Surface {
    /// The terminal; without one, standard error if `stderr_is_read`; else there is none, and nothing may be asked.
    pub(super) fn find(stderr_is_read: bool) -> Option<Self> {
        Terminal::open().map(Self::Terminal).or_else(|| stderr_is_read.then_some(Self::Stderr))
    }

    fn show(&self, message: &str) {
        match self {
            Self::Terminal(terminal) => terminal.show(message),
            Self::Stderr => output::note(message),
        }
    }

    fn clear(&self) {
        if let Self::Terminal(terminal) = self {
            terminal.clear();
        }
    }
}

/// The agent of this command, registered for as long as its connection lives.
pub(super) struct Agent(Arc<Shared>);

struct Shared {
    /// Who may call: the daemon's name on the bus. On a private socket there is nobody else.
    daemon: Option<OwnedUniqueName>,
    /// `--token`.
    token: Option<String>,
    surface: Surface,
    files: tokio::sync::Mutex<PinFiles>,
    /// `--recovery-code-file`.
    code: Option<PathBuf>,
    refusal: Mutex<Option<Refusal>>,
    over: Notify,
}

impl Agent {
    /// Serves the agent and tells the daemon.
    pub(super) async fn register(
        daemon: &Daemon,
        surface: Surface,
        files: PinFiles,
        code: Option<PathBuf>,
        token: Option<String>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            daemon: daemon.unique_name().await?,
            token,
            surface,
            files: tokio::sync::Mutex::new(files),
            code,
            refusal: Mutex::default(),
            over: Notify::new(),
        });
        let mut waits =
            MessageStream::for_match_rule(prompts(shared.daemon.as_ref())?, daemon.connection(), None)
                .await?;
        let watcher = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some(message) =
                std::future::poll_fn(|context| Pin::new(&mut waits).poll_next(context)).await
            {
                if let Ok(message) = message {
                    watcher.hear(&message);
                }
            }
        });
        let service = Service(Arc::clone(&shared));
        daemon.connection().object_server().at(AGENT_PATH, service).await?;
        daemon
            .manager()
            .await?
            .register_own_agent(&ObjectPath::from_static_str_unchecked(AGENT_PATH))
            .await?;
        Ok(Self(shared))
    }

    /// Takes the last message off the terminal, and gives what was refused, if anything was.
    pub(super) fn finish(self) -> Option<Refusal> {
        self.0.surface.clear();
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
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

impl Shared {
    /// A message from the bus; only the daemon's word counts.
    fn is_daemon(&self, header: &Header<'_>) -> bool {
        self.daemon.as_ref().is_none_or(|daemon| header.sender().is_some_and(|sender| sender == &**daemon))
    }

    /// Shows what the daemon waits for. PIN and touch reach the agent by call.
    fn hear(&self, message: &Message) {
        let header = message.header();
        if !self.is_daemon(&header) {
            return;
        }
        match header.member().map(zbus::names::MemberName::as_str) {
            Some("Prompt") => {
                let prompt = message.body().deserialize::<PromptSignal>();
                if let Some(prompt) = prompt.ok().filter(|prompt| prompt.kind == "wait") {
                    self.surface.show(&prompt.text);
                }
            }
            Some("PromptDone") => self.surface.clear(),
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
            return self.code(request).await;
        }
        let is_pin = !request.is_oath_password();
        if is_pin {
            self.right_token(&request.token)?;
        }
        let hand_over = |pin: &crate::secret::Pin| {
            let inlet = pin.with(handover::inlet).map_err(|error| Refusal::Terminal(error.to_string()))?;
            Ok(inlet.into())
        };
        if let Some(pin) = self.files.lock().await.answer(request)? {
            return hand_over(pin);
        }
        let Surface::Terminal(terminal) = &self.surface else {
            let (label, token) = (request.label.clone(), request.token.clone());
            return Err(if is_pin {
                Refusal::NoTerminal { label, token }
            } else {
                Refusal::NoTerminalForPassword { label, token }
            });
        };
        let question = question(request);
        let pin = tokio::select! {
            pin = terminal.ask(&question) => pin?,
            // The daemon takes its question back: the time is over, or the token is gone.
            () = self.over.notified() => return Err(Refusal::Cancelled),
        };
        terminal.clear();
        hand_over(&pin)
    }

    /// The recovery code, from its file or typed line by line.
    async fn code(&self, request: &PinRequest) -> Result<zbus::OwnedFd, Refusal> {
        let code = match (&self.code, &self.surface) {
            // What failed once fails again: the daemon says what is wrong with it.
            (Some(path), _) if request.failed => return Err(Refusal::CodeWrong { path: path.clone() }),
            (Some(path), _) => recovery::read(path)?,
            (None, Surface::Terminal(terminal)) => {
                let mut code = Zeroizing::new(Vec::with_capacity(1024));
                for line in 1..=4 {
                    let question = code_question(request, line);
                    tokio::select! {
                        typed = terminal.ask(&question) => typed?.with(|line| code.extend_from_slice(line)),
                        () = self.over.notified() => return Err(Refusal::Cancelled),
                    }
                }
                terminal.clear();
                code
            }
            (None, Surface::Stderr) => return Err(Refusal::NoTerminalForCode),
        };
        handover::inlet(&code).map(Into::into).map_err(|error| Refusal::Terminal(error.to_string()))
    }

    fn remember(&self, refusal: Refusal) -> AgentError {
        let text = refusal.to_string();
        let error = match refusal {
            Refusal::NoTerminal { .. }
            | Refusal::NoTerminalForPassword { .. }
            | Refusal::NoTerminalForNew
            | Refusal::NoTerminalForCode
            | Refusal::Terminal(_)
            | Refusal::NoPrompt => AgentError::NoPrompt(text),
            Refusal::PinFileOpen { .. }
            | Refusal::PinFileUnreadable { .. }
            | Refusal::PinFileEmpty { .. }
            | Refusal::PinWrong { .. }
            | Refusal::PasswordWrong { .. }
            | Refusal::LastTry { .. }
            | Refusal::OtherToken { .. }
            | Refusal::Cancelled => AgentError::Cancelled(text),
            // Not to be remembered: the daemon knows better what is wrong.
            Refusal::CodeWrong { .. } => return AgentError::Cancelled(text),
        };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        error
    }
}

fn code_question(request: &PinRequest, line: u32) -> String {
    format!("Line {line} of 4 of the {}, to {}: ", request.label, request.text)
}

fn question(request: &PinRequest) -> String {
    if request.is_oath_password() {
        let wrong = if request.failed { "Wrong password. " } else { "" };
        return format!(
            "{wrong}Password of the OATH accounts on {} (not its PIN), to {}: ",
            request.label, request.text
        );
    }
    let wrong = if request.failed { "Wrong PIN. " } else { "" };
    let tries = match request.retries {
        1 => "the last try before the token blocks".to_owned(),
        tries => format!("{tries} tries left"),
    };
    format!("{wrong}PIN of {} ({tries}), to {}: ", request.label, request.text)
}

/// How a refusal looks to the daemon.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.rootseal.Error")]
enum AgentError {
    #[zbus(error)]
    Bus(zbus::Error),
    Cancelled(String),
    NoPrompt(String),
    NotAuthorized(String),
}

struct Service(Arc<Shared>);

impl Service {
    fn admit(&self, header: &Header<'_>) -> Result<(), AgentError> {
        if self.0.is_daemon(header) {
            return Ok(());
        }
        Err(AgentError::NotAuthorized("this agent serves rootseald alone".to_owned()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "zbus hands its arguments over by value")]
#[zbus::interface(name = "org.rootseal.Agent1", introspection_docs = false)]
impl Service {
    async fn request_pin(
        &self,
        request: PinRequest,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<zbus::OwnedFd, AgentError> {
        self.admit(&header)?;
        self.0.pin(&request).await.map_err(|refusal| self.0.remember(refusal))
    }

    fn request_touch(
        &self,
        request: TouchRequest,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), AgentError> {
        self.admit(&header)?;
        let what = if request.touch { "Touch" } else { "Using" };
        self.0.surface.show(&format!("{what} {}: {}", request.label, request.text));
        Ok(())
    }

    fn done(&self, #[zbus(header)] header: Header<'_>) -> Result<(), AgentError> {
        self.admit(&header)?;
        self.0.over.notify_waiters();
        self.0.surface.clear();
        Ok(())
    }
}
