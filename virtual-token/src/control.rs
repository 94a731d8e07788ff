//! The control socket: one command a line, one line for each answer. It stands in for the user's hands.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
};

use crate::{
    fault::{Counts, Fault},
    station::{Hand, Move},
    token::{Token, complain},
    touch::Mode,
    wire::clear_stale,
};

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Touch the token, which must be waiting for it.
    Touch,
    /// Change how touches come about.
    Mode(Mode),
    /// Pull the token out.
    Unplug,
    /// Plug the token in.
    Plug,
    /// Answer when the token waits for a touch.
    WaitTouch,
    /// Answer when no request is under way.
    WaitIdle,
    /// Do this wrong from now on.
    Fault(Fault),
    /// Answer with one line of JSON.
    Status,
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        if let Some(fault) = line.trim_start().strip_prefix("fault ") {
            return fault.parse().map(Self::Fault);
        }
        let mut words = line.split_ascii_whitespace();
        let order = match (words.next(), words.next()) {
            (Some("touch"), None) => Self::Touch,
            (Some("mode"), Some(mode)) => Self::Mode(mode.parse()?),
            (Some("unplug"), None) => Self::Unplug,
            (Some("plug"), None) => Self::Plug,
            (Some("wait-touch"), None) => Self::WaitTouch,
            (Some("wait-idle"), None) => Self::WaitIdle,
            (Some("status"), None) => Self::Status,
            _ => {
                return Err(
                    "the commands are touch, mode MODE, unplug, plug, wait-touch, wait-idle, fault FAULT, status",
                );
            }
        };
        words.next().map_or(Ok(order), |_| Err("a command takes no more words"))
    }
}

/// What stands behind the control socket.
#[derive(Clone)]
pub struct Control {
    /// The token.
    pub token: Token,
    /// Its plug.
    pub hand: Hand,
    /// What `status` tells.
    pub label: String,
    /// What `status` tells.
    pub serial: u32,
}

/// The listening control socket. Its file goes when the value is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

impl ControlSocket {
    /// Listens on a path, where a file that nobody listens on may lie.
    ///
    /// # Errors
    /// When something else lies there, or somebody listens already.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listen = || {
            clear_stale(path, || std::os::unix::net::UnixStream::connect(path).map(drop))?;
            UnixListener::bind(path)
        };
        let listener = listen().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
        })?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves for ever.
    pub async fn run(&self, control: Control) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, control.clone()));
                }
                Err(error) => complain(&error),
            }
        }
    }
}

async fn serve(mut stream: UnixStream, control: Control) {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match line.parse() {
            Ok(order) => control.obey(order).await,
            Err(reason) => Err(reason.into()),
        };
        let mut answer = answer.unwrap_or_else(|reason| format!("error: {reason}"));
        answer.push('\n');
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Control {
    async fn obey(&self, order: Order) -> Result<String, String> {
        let touch = self.token.touch();
        match order {
            Order::Touch => touch.press()?,
            Order::Mode(mode) => touch.set_mode(mode),
            Order::Unplug => self.hand.make(Move::Unplug).await.map_err(|error| error.to_string())?,
            Order::Plug => self.hand.make(Move::Plug).await.map_err(|error| error.to_string())?,
            Order::WaitTouch => {
                touch.waiting().wait_for(|waiting| *waiting).await.map_err(|error| error.to_string())?;
            }
            Order::WaitIdle => self.token.idle().await,
            Order::Fault(fault) => self.token.faults().set(fault),
            Order::Status => return Ok(self.status().to_string()),
        }
        Ok("ok".into())
    }

    fn status(&self) -> serde_json::Value {
        let touch = self.token.touch();
        let Counts { frames, apdus } = self.token.faults().counts();
        json!({
            "label": self.label,
            "serial": self.serial,
            "plugged": self.hand.is_plugged(),
            "mode": touch.mode().to_string(),
            "waiting": *touch.waiting().borrow(),
            "touches": touch.given(),
            "requests": self.token.requests(),
            "fault": self.token.faults().fault().to_string(),
            "frames": frames,
            "apdus": apdus,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_understood() {
        for (line, order) in [
            ("touch", Order::Touch),
            ("mode auto", Order::Mode(Mode::Auto)),
            ("mode never", Order::Mode(Mode::Never)),
            ("mode demand", Order::Mode(Mode::Demand)),
            ("unplug", Order::Unplug),
            ("plug", Order::Plug),
            (" wait-touch\r", Order::WaitTouch),
            ("wait-idle", Order::WaitIdle),
            ("status", Order::Status),
            ("fault none", Order::Fault(Fault::None)),
            ("fault drop-at 2", Order::Fault("drop-at 2".parse().unwrap())),
        ] {
            assert_eq!(line.parse::<Order>(), Ok(order), "{line}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "Touch",
            "touch twice",
            "mode",
            "mode sometimes",
            "mode auto now",
            "status\0",
            "fault",
            "fault x",
        ] {
            assert!(line.parse::<Order>().is_err(), "{line}");
        }
    }
}
