//! One client's connection: reports in, reports out, and keepalives while the authenticator works.

use std::{io, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};

use crate::{
    authenticator::{Failure, Request},
    fault::{Interface, Verdict},
    hid::{Event, HidError, Link, Report, Status},
    token::{Pending, Token, complain},
    wire::{Arrival, Wire},
};

const CHANNEL_LEN: usize = 4;

const KEEPALIVE: Duration = Duration::from_millis(100);

/// How long the rest of a message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client has gone, or the token was pulled out.
    Gone,
    /// The token has to vanish from its port.
    Vanished,
    /// The token has to lose its power for a moment.
    Reset,
}

/// A session that is over. The client sees its connection end when this is dropped, and no sooner: by then
/// the station has noted what came of it.
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    _connection: Box<dyn Send>,
}

impl Ended {
    /// With the connection, or what is left of it.
    pub fn new(ending: Ending, connection: impl Send + 'static) -> Self {
        Self { ending, _connection: Box::new(connection) }
    }
}

impl Ending {
    fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Pass | Verdict::Swallow => None,
            Verdict::Vanish => Some(Self::Vanished),
            Verdict::Reset => Some(Self::Reset),
        }
    }
}

struct Session {
    token: Token,
    wire: Wire,
    link: Link,
    pending: Option<Pending>,
}

/// Serves one client until it goes or `plugged` loses its sender. Whatever it left pending is cancelled and over
/// when this returns.
pub async fn serve(token: Token, wire: Wire, mut plugged: watch::Receiver<()>) -> Ended {
    let mut session = Session { token, wire, link: Link::default(), pending: None };
    let outcome = tokio::select! {
        outcome = session.run() => outcome,
        _ = plugged.changed() => Ok(Ending::Gone),
    };
    session.abandon().await;
    // A client that vanishes is no news.
    let vanished = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    let ending = outcome.unwrap_or_else(|error| {
        if !vanished.contains(&error.kind()) {
            complain(&error);
        }
        Ending::Gone
    });
    Ended::new(ending, session.wire)
}

impl Session {
    async fn run(&mut self) -> io::Result<Ending> {
        let mut beat: Interval = interval(KEEPALIVE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = self.token.touch().waiting();
        let mut last_report = Instant::now();
        loop {
            let event = tokio::select! {
                arrival = self.wire.receive() => match arrival? {
                    Arrival::Report(report) => {
                        let verdict = self.token.faults().step(Interface::Hid);
                        if let Some(ending) = Ending::of(verdict) {
                            return Ok(ending);
                        }
                        if verdict == Verdict::Swallow {
                            continue;
                        }
                        last_report = Instant::now();
                        self.link.take(&report, || self.token.allocate_channel())
                    }
                    Arrival::NobodyListens => self.link.reset(),
                    Arrival::Gone => return Ok(Ending::Gone),
                },
                answer = answer(&mut self.pending), if !self.token.faults().holds_back() => {
                    self.pending = None;
                    Event::Reply(match answer {
                        Ok(message) => self.link.complete(&message),
                        Err(failure) => self.link.fail(reason(&failure)),
                    })
                }
                _ = beat.tick(), if self.pending.is_some() => {
                    let status = if *waiting.borrow() { Status::UpNeeded } else { Status::Processing };
                    Event::Keepalive(self.link.keepalive(status))
                }
                // The first one goes at once, so that a prompt need not wait for the beat.
                Ok(()) = waiting.changed(), if self.pending.is_some() => {
                    if *waiting.borrow_and_update() {
                        Event::Keepalive(self.link.keepalive(Status::UpNeeded))
                    } else {
                        Event::None
                    }
                }
                () = sleep(MESSAGE_TIMEOUT.saturating_sub(last_report.elapsed())), if self.link.is_receiving() => {
                    Event::Reply(self.link.time_out())
                }
            };
            let replies = match event {
                Event::None => Vec::new(),
                Event::Reply(reports) => reports,
                Event::Keepalive(reports) => {
                    self.keep_alive(&reports).await?;
                    Vec::new()
                }
                Event::Cancel => {
                    self.token.cancel();
                    Vec::new()
                }
                Event::Abort(reports) => {
                    self.abandon().await;
                    reports
                }
                Event::Request(command, message) => {
                    self.token.note_request();
                    waiting.mark_unchanged();
                    self.pending = self.token.submit(Request::Hid(command, message)).await;
                    beat.reset();
                    if self.pending.is_some() { Vec::new() } else { self.link.fail(HidError::ChannelBusy) }
                }
            };
            if let Some(ending) = self.send(replies).await? {
                return Ok(ending);
            }
        }
    }

    /// Sends answers, or says how the connection ends instead.
    async fn send(&self, reports: Vec<Report>) -> io::Result<Option<Ending>> {
        let faults = self.token.faults();
        for mut report in reports {
            let verdict = faults.step(Interface::Hid);
            if let Some(ending) = Ending::of(verdict) {
                return Ok(Some(ending));
            }
            if verdict == Verdict::Pass {
                // Behind the channel: who gets noise on another one only waits.
                faults.garble(report.get_mut(CHANNEL_LEN..).unwrap_or_default());
                self.wire.send(&report).await?;
            }
        }
        Ok(None)
    }

    /// Keepalives are not counted.
    async fn keep_alive(&self, reports: &[Report]) -> io::Result<()> {
        if !self.token.faults().is_silent() {
            for report in reports {
                self.wire.send(report).await?;
            }
        }
        Ok(())
    }

    async fn abandon(&mut self) {
        if let Some(mut pending) = self.pending.take() {
            self.token.cancel();
            pending.answer().await.ok();
        }
    }
}

async fn answer(pending: &mut Option<Pending>) -> Result<Vec<u8>, Failure> {
    match pending {
        Some(pending) => pending.answer().await,
        None => std::future::pending().await,
    }
}

fn reason(failure: &Failure) -> HidError {
    match failure {
        Failure::Command => HidError::InvalidCommand,
        Failure::Length => HidError::InvalidLength,
        Failure::NotSaved => HidError::Other,
    }
}
