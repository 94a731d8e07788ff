//! One client's connection: reports in, reports out, and keepalives while the authenticator works.

use std::{io, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};

use crate::{
    authenticator::Failure,
    hid::{Event, HidError, Link, Report, Status},
    token::{Pending, Token, complain},
    wire::{Arrival, Wire},
};

const KEEPALIVE: Duration = Duration::from_millis(100);

/// How long the rest of a message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(3);

struct Session {
    token: Token,
    wire: Wire,
    link: Link,
    pending: Option<Pending>,
}

/// Serves one client until it goes or `plugged` loses its sender. Whatever it left pending is cancelled and over
/// when this returns.
pub async fn serve(token: Token, wire: Wire, mut plugged: watch::Receiver<()>) {
    let mut session = Session { token, wire, link: Link::default(), pending: None };
    let outcome = tokio::select! {
        outcome = session.run() => outcome,
        _ = plugged.changed() => Ok(()),
    };
    session.abandon().await;
    // A client that vanishes is no news.
    let vanished = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    if let Err(error) =
        outcome.or_else(|error| if vanished.contains(&error.kind()) { Ok(()) } else { Err(error) })
    {
        complain(&error);
    }
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        let mut beat: Interval = interval(KEEPALIVE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = self.token.touch().waiting();
        let mut last_report = Instant::now();
        loop {
            let event = tokio::select! {
                arrival = self.wire.receive() => match arrival? {
                    Arrival::Report(report) => {
                        last_report = Instant::now();
                        self.link.take(&report, || self.token.allocate_channel())
                    }
                    Arrival::NobodyListens => self.link.reset(),
                    Arrival::Gone => return Ok(()),
                },
                answer = answer(&mut self.pending) => {
                    self.pending = None;
                    Event::Reply(match answer {
                        Ok(message) => self.link.complete(&message),
                        Err(failure) => self.link.fail(reason(&failure)),
                    })
                }
                _ = beat.tick(), if self.pending.is_some() => {
                    let status = if *waiting.borrow() { Status::UpNeeded } else { Status::Processing };
                    Event::Reply(self.link.keepalive(status))
                }
                // The first one goes at once, so that a prompt need not wait for the beat.
                Ok(()) = waiting.changed(), if self.pending.is_some() => {
                    if *waiting.borrow_and_update() {
                        Event::Reply(self.link.keepalive(Status::UpNeeded))
                    } else {
                        Event::None
                    }
                }
                () = sleep(MESSAGE_TIMEOUT.saturating_sub(last_report.elapsed())), if self.link.is_receiving() => {
                    Event::Reply(self.link.time_out())
                }
            };
            match event {
                Event::None => {}
                Event::Reply(reports) => self.send(&reports).await?,
                Event::Cancel => self.token.cancel(),
                Event::Abort(reports) => {
                    self.abandon().await;
                    self.send(&reports).await?;
                }
                Event::Request(command, message) => {
                    self.token.note_request();
                    waiting.mark_unchanged();
                    self.pending = self.token.submit(command, message).await;
                    beat.reset();
                    if self.pending.is_none() {
                        let reports = self.link.fail(HidError::ChannelBusy);
                        self.send(&reports).await?;
                    }
                }
            }
        }
    }

    async fn send(&self, reports: &[Report]) -> io::Result<()> {
        for report in reports {
            self.wire.send(report).await?;
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
