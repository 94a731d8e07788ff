//! Prompts in a window of pinentry, for a command without a terminal.
//!
//! Each prompt has a process of its own, which ends with it.

mod assuan;
mod dialog;

use crate::cli::prompt::Prompt;
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refuser;
use crate::secret::Pin;
use assuan::Reply;
use dialog::Dialog;
use rustix::fs::{Access, Mode, OFlags};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

const PROGRAM: &str = "PINENTRY_PROGRAM";
/// A window that cannot be shown fails at once; pinentry has no word for one that can.
const FAILS: Duration = Duration::from_millis(300);

type Answer = Result<Option<Pin>, Refusal>;

pub(super) struct Pinentry {
    program: PathBuf,
    refuser: Refuser,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// The prompt whose dialog is on its way.
    opening: Option<u64>,
    window: Option<Window>,
}

/// A dialog on show.
struct Window {
    prompt: u64,
    /// Dropped, it takes the window away.
    open: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Window {
    async fn close(self) {
        drop(self.open);
        let _its_dialog_is_gone = self.task.await;
    }
}

impl Pinentry {
    /// The one that `PINENTRY_PROGRAM` names, else the system's; if there is a place where it could show anything.
    pub(super) fn find(refuser: &Refuser) -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let screen = ["WAYLAND_DISPLAY", "DISPLAY"].into_iter().any(|name| variable(name).is_some());
        if !screen && !variable("GPG_TTY").is_some_and(|path| is_terminal(Path::new(&path))) {
            return None;
        }
        let program = match variable(PROGRAM) {
            // One that was named and is not there is an error, for whoever named it.
            Some(named) => on_path(&named).unwrap_or_else(|| named.into()),
            None => on_path(&OsString::from("pinentry"))?,
        };
        Some(Self { program, refuser: refuser.clone(), now: Mutex::default() })
    }

    /// Shows a text until [`Self::clear`]. To hide it is no answer; its other button refuses.
    pub(super) async fn show(&self, prompt: &Prompt) -> Result<(), Refusal> {
        let words = [("SETDESC", &*prompt.text), ("SETOK", "_Hide"), ("SETCANCEL", "_Refuse")];
        let (number, refuser) = (prompt.number, self.refuser.clone());
        let mut answer = self.open(number, &words, "CONFIRM").await?;
        match tokio::time::timeout(FAILS, &mut answer).await {
            Ok(Ok(Ok(_hidden))) => Ok(()),
            Ok(Ok(Err(refusal))) => Err(refusal),
            Ok(Err(_closed)) => Err(Refusal::Cancelled),
            Err(_on_show) => {
                tokio::spawn(async move {
                    if let Ok(Err(refusal)) = answer.await {
                        refuser.refuse(number, refusal);
                    }
                });
                Ok(())
            }
        }
    }

    pub(super) async fn ask(&self, prompt: &Prompt) -> Result<Pin, Refusal> {
        let (label, wrong) = (format!("{}:", prompt.secret), prompt.wrong());
        let mut words = vec![("SETDESC", &*prompt.text), ("SETPROMPT", &label), ("SETCANCEL", "_Refuse")];
        words.extend(wrong.as_deref().map(|wrong| ("SETERROR", wrong)));
        let answer = self.open(prompt.number, &words, "GETPIN").await?;
        // Enter alone gives no data, and is no PIN.
        answer.await.unwrap_or(Err(Refusal::Cancelled))?.ok_or(Refusal::Cancelled)
    }

    /// Has a dialog answered, until it is or the prompt is over.
    async fn open(
        &self,
        prompt: u64,
        words: &[(&str, &str)],
        verb: &'static str,
    ) -> Result<oneshot::Receiver<Answer>, Refusal> {
        self.close().await;
        self.now.lock().await.opening = Some(prompt);
        let mut dialog = Dialog::start(&self.program).await?;
        for (verb, text) in words {
            dialog.set(verb, text).await?;
        }
        let mut now = self.now.lock().await;
        if now.opening.take() != Some(prompt) {
            dialog.end(false).await;
            return Err(Refusal::Cancelled);
        }
        let (open, closed) = oneshot::channel();
        let (answer, answers) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Some(result) = run(dialog, verb, closed).await {
                let _whoever_asked_is_gone = answer.send(result);
            }
        });
        now.window = Some(Window { prompt, open, task });
        Ok(answers)
    }

    pub(super) async fn clear(&self, prompt: u64) {
        let mut now = self.now.lock().await;
        now.opening.take_if(|opening| *opening == prompt);
        if let Some(window) = now.window.take_if(|window| window.prompt == prompt) {
            window.close().await;
        }
    }

    pub(super) async fn close(&self) {
        let mut now = self.now.lock().await;
        now.opening = None;
        if let Some(window) = now.window.take() {
            window.close().await;
        }
    }
}

/// `None`: the prompt is over.
async fn run(mut dialog: Dialog, verb: &str, closed: oneshot::Receiver<()>) -> Option<Answer> {
    let reply = tokio::select! {
        biased;
        _dropped = closed => None,
        reply = dialog.say(verb, "") => Some(reply),
    };
    dialog.end(reply.is_none()).await;
    Some(match reply? {
        Ok(Reply::Done(pin)) => Ok(pin),
        Ok(Reply::Cancelled) => Err(Refusal::Refused),
        Ok(Reply::Failed(words)) => Err(Refusal::Pinentry(words)),
        Err(refusal) => Err(refusal),
    })
}

fn is_terminal(path: &Path) -> bool {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).is_ok_and(rustix::termios::isatty)
}

/// As a shell finds a program.
fn on_path(program: &OsString) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if Path::new(program).components().count() > 1 {
        return Some(PathBuf::from(program)).filter(runs);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(runs)
}
