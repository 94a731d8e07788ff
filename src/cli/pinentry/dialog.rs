//! One pinentry process, and the conversation with it.

use super::assuan::{Nonsense, Reader, Reply, command};
use crate::cli::refusal::Refusal;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long it may take for what needs no person.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to put a screen in order when it is told to go.
const LEAVING: Duration = Duration::from_secs(1);
/// What it needs to find the screen, and to speak the user's language.
const ENVIRONMENT: [&str; 18] = [
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TERM",
    "GPG_TTY",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "DBUS_SESSION_BUS_ADDRESS",
    "QT_QPA_PLATFORM",
    "PINENTRY_USER_DATA",
];

pub(super) struct Dialog {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    reader: Reader,
}

impl Dialog {
    /// Starts it and tells it where it is.
    pub(super) async fn start(program: &Path) -> Result<Self, Refusal> {
        let cannot = |error: std::io::Error| Refusal::Pinentry(format!("{}: {error}", program.display()));
        let mut child = Command::new(program)
            .env_clear()
            .envs(ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Refusal::Pinentry("it has no pipes".to_owned()));
        };
        let mut dialog = Self { child, to, from, reader: Reader::new() };
        dialog.greet().await?;
        Ok(dialog)
    }

    async fn greet(&mut self) -> Result<(), Refusal> {
        within(self.reply()).await?;
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let options = [
            ("ttyname", variable("GPG_TTY")),
            ("ttytype", variable("TERM")),
            ("lc-ctype", locale),
            ("display", variable("DISPLAY")),
        ];
        for (name, value) in options {
            // An option that it does not know, it does not need.
            if let Some(value) = value.and_then(|value: OsString| value.into_string().ok()) {
                within(self.say("OPTION", &format!("{name}={value}"))).await?;
            }
        }
        within(self.say("SETTITLE", "rootseal")).await?;
        Ok(())
    }

    /// Says how the dialog is to look.
    pub(super) async fn set(&mut self, verb: &str, text: &str) -> Result<(), Refusal> {
        match within(self.say(verb, &without_markup(text))).await? {
            Reply::Done(_) => Ok(()),
            Reply::Cancelled | Reply::Failed(_) => Err(Refusal::Pinentry(format!("it refused {verb}"))),
        }
    }

    /// A command, to its end.
    pub(super) async fn say(&mut self, verb: &str, text: &str) -> Result<Reply, Refusal> {
        self.to.write_all(command(verb, text).as_bytes()).await.map_err(|_closed| died())?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply, Refusal> {
        loop {
            let reply = self.reader.reply().map_err(|Nonsense| nonsense())?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
            match self.from.read(self.reader.room()).await {
                Ok(0) | Err(_) => return Err(died()),
                Ok(count) => self.reader.filled(count),
            }
        }
    }

    /// Has it go. While it shows something it hears only a signal, which lets it put a terminal in order.
    pub(super) async fn end(mut self, on_show: bool) {
        if on_show {
            let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?));
            if let Some(pid) = pid {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            }
        } else {
            let _gone = self.to.write_all(command("BYE", "").as_bytes()).await;
        }
        drop(self.to);
        // One that does not go is killed when it is dropped.
        if tokio::time::timeout(LEAVING, self.child.wait()).await.is_err() {
            let _gone = self.child.kill().await;
        }
    }
}

async fn within<T>(reply: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let silent = |_elapsed| Refusal::Pinentry("it does not answer".to_owned());
    tokio::time::timeout(PATIENCE, reply).await.map_err(silent)?
}

fn died() -> Refusal {
    Refusal::Pinentry("it ended in the middle of the prompt".to_owned())
}

fn nonsense() -> Refusal {
    Refusal::Pinentry("it does not speak pinentry's protocol".to_owned())
}

/// Some toolkits take a text for markup where it looks like it.
fn without_markup(text: &str) -> String {
    let plain = |character| match character {
        '<' => '\u{2039}',
        '>' => '\u{203a}',
        other => other,
    };
    text.chars().map(plain).collect()
}
