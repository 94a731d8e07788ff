//! The terminal of `rootseal agent`: shows one prompt at a time of all that are open, and hears every key.

use crate::cli::prompt::{Kind, Prompt};
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refuser;
use crate::cli::terminal::{Key, Terminal, Typed};
use crate::secret::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

const IDLE: &str = "Prompts appear here; q ends this agent.";

#[derive(Clone)]
pub(super) struct Console(Arc<Shared>);

struct Shared {
    terminal: Terminal,
    refuser: Refuser,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One of each number; the last one is on show, but those that want a person go first.
    prompts: Vec<Prompt>,
    asked: Option<Asked>,
}

/// A question that is being answered.
struct Asked {
    prompt: u64,
    typed: Typed,
    answer: oneshot::Sender<Result<Pin, Refusal>>,
}

impl State {
    fn put(&mut self, prompt: &Prompt) {
        self.remove(prompt.number);
        self.prompts.push(prompt.clone());
    }

    fn ask(&mut self, prompt: &Prompt, answer: oneshot::Sender<Result<Pin, Refusal>>) {
        self.put(prompt);
        self.asked = Some(Asked { prompt: prompt.number, typed: Typed::default(), answer });
    }

    fn remove(&mut self, number: u64) {
        self.prompts.retain(|prompt| prompt.number != number);
        // Dropping it tells whoever waits for the answer.
        self.asked.take_if(|asked| asked.prompt == number);
    }

    fn on_show(&self) -> Option<&Prompt> {
        let asked = self.asked.as_ref().map(|asked| asked.prompt);
        let find = |wanted: &dyn Fn(&Prompt) -> bool| self.prompts.iter().rev().find(|prompt| wanted(prompt));
        find(&|prompt| Some(prompt.number) == asked)
            .or_else(|| find(&|prompt| prompt.kind == Kind::Touch))
            .or_else(|| find(&|_any| true))
    }

    fn text(&self) -> String {
        match self.on_show() {
            None => IDLE.to_owned(),
            Some(prompt) if self.asked.is_some() => prompt.question(),
            Some(prompt) => match crate::aws::rfc3339(prompt.deadline) {
                Ok(end) => format!("{} (until {end}; n refuses)", prompt.text),
                Err(_no_date) => format!("{} (n refuses)", prompt.text),
            },
        }
    }
}

impl Console {
    /// The controlling terminal, if there is one.
    pub(super) fn open(refuser: &Refuser) -> Option<Self> {
        let shared =
            Shared { terminal: Terminal::open()?, refuser: refuser.clone(), state: Mutex::default() };
        Some(Self(Arc::new(shared)))
    }

    /// Hears keys until one of them ends the agent, or the terminal is gone.
    pub(super) async fn run(&self) -> Result<(), Refusal> {
        let quiet = self.0.terminal.quiet()?;
        self.render();
        self.0.terminal.listen(&quiet, |byte| self.key(byte).then_some(())).await
    }

    pub(super) fn show(&self, prompt: &Prompt) {
        let mut state = self.state();
        // The word that a PIN is asked for may come after the question itself.
        let known = state.asked.as_ref().is_some_and(|asked| asked.prompt == prompt.number);
        if !known || prompt.kind != Kind::Secret {
            state.put(prompt);
        }
        drop(state);
        self.render();
    }

    pub(super) async fn ask(&self, prompt: &Prompt) -> Result<Pin, Refusal> {
        let (answer, answers) = oneshot::channel();
        self.state().ask(prompt, answer);
        self.render();
        answers.await.unwrap_or(Err(Refusal::Cancelled))
    }

    pub(super) fn clear(&self, number: u64) {
        self.state().remove(number);
        self.render();
    }

    pub(super) fn close(&self) {
        *self.state() = State::default();
        self.0.terminal.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn render(&self) {
        let text = self.state().text();
        self.0.terminal.show(&text);
    }

    /// Whether the key ends the agent.
    fn key(&self, byte: u8) -> bool {
        const CONTROL_C: u8 = 0x03;
        const CONTROL_D: u8 = 0x04;
        const ESCAPE: u8 = 0x1b;
        let mut state = self.state();
        if let Some(asked) = &mut state.asked {
            let answer = match asked.typed.key(byte) {
                Key::More => return false,
                Key::Enter => Ok(asked.typed.pin()),
                Key::Cancel => Err(Refusal::Refused),
            };
            let number = asked.prompt;
            if let Some(asked) = state.asked.take() {
                let _taken_back = asked.answer.send(answer);
            }
            state.remove(number);
            drop(state);
            self.render();
            return false;
        }
        match (state.on_show(), byte) {
            (Some(prompt), ESCAPE | CONTROL_C | b'n' | b'N') => {
                self.0.refuser.refuse(prompt.number, Refusal::Refused);
                false
            }
            (None, b'q' | b'Q' | CONTROL_C | CONTROL_D) => true,
            (Some(_) | None, _) => false,
        }
    }
}
