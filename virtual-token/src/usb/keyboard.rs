//! The keyboard, which types nothing: its requests on endpoint zero, among them those for the feature report that
//! carries Yubico's frames, and the conversation with the application behind them.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{
    frames::{Event, Link, Report, Status},
    urb::Setup,
};
use crate::{
    authenticator::Request,
    card::{Frame, TOUCH_PATIENCE},
    fault::Faults,
    session::{Ended, Ending},
    token::{Pending, Token},
};

// `bmRequestType` and `bRequest` (HID 1.11, section 7.2).
const FROM_INTERFACE: u8 = 0xA1;
const TO_INTERFACE: u8 = 0x21;
const GET_REPORT: u8 = 1;
const SET_REPORT: u8 = 9;
const SET_PROTOCOL: u8 = 11;

// The kind of a report: the high byte of `wValue`.
const INPUT: u8 = 1;
const OUTPUT: u8 = 2;
const FEATURE: u8 = 3;

/// No key is down.
const NO_KEYS: Report = [0; 8];

/// What the interface's service is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Have this done.
    Command(Frame),
    /// Give it up.
    Forget,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum News {
    /// It waits for a touch, that long; or no longer.
    Waits(Option<Duration>),
    /// It is over. Each command has this once.
    Done(Vec<u8>),
}

/// The interface at its wire.
#[derive(Debug)]
pub(super) struct Keyboard {
    link: Link,
    status: watch::Receiver<Option<Status>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// The service's end.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) news: mpsc::UnboundedSender<News>,
}

impl Keyboard {
    /// With the pipes for its service, and what that will tell.
    pub(super) fn new(
        status: watch::Receiver<Option<Status>>,
    ) -> (Self, Pipes, mpsc::UnboundedReceiver<News>) {
        let (orders, theirs) = mpsc::unbounded_channel();
        let (news, ours) = mpsc::unbounded_channel();
        (Self { link: Link::default(), status, orders }, Pipes { orders: theirs, news }, ours)
    }

    /// Answers a request to this interface as [`super::control::answer`] does.
    pub(super) fn answer(&mut self, setup: Setup, data: &[u8]) -> Option<Vec<u8>> {
        let [kind, request, _, report, ..] = setup;
        match (kind, request, report) {
            (FROM_INTERFACE, GET_REPORT, INPUT) => Some(NO_KEYS.to_vec()),
            (FROM_INTERFACE, GET_REPORT, FEATURE) => {
                let status = *self.status.borrow();
                Some(self.link.report(status).to_vec())
            }
            // It has no lights, and its reports are the same in both protocols.
            (TO_INTERFACE, SET_REPORT, OUTPUT) | (TO_INTERFACE, SET_PROTOCOL, _) => Some(Vec::new()),
            (TO_INTERFACE, SET_REPORT, FEATURE) => {
                let order = match self.link.take(data.try_into().ok()?) {
                    Event::None => return Some(Vec::new()),
                    Event::Command(frame) => Order::Command(frame),
                    Event::Forget => Order::Forget,
                };
                // A service that is gone ends the device, too.
                self.orders.send(order).ok();
                Some(Vec::new())
            }
            _ => None,
        }
    }

    /// Takes in what the service tells.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Waits(patience) => self.link.wait(patience),
            News::Done(answer) => self.link.complete(&answer),
        }
    }
}

/// Serves until the other end of the pipes goes, or `plugged` loses its sender. What was left pending is cancelled and
/// over when this returns.
pub(crate) async fn serve(token: Token, mut pipes: Pipes, mut plugged: watch::Receiver<()>) -> Ended {
    let mut pending = None;
    tokio::select! {
        () = run(&token, &mut pipes, &mut pending) => {}
        _ = plugged.changed() => {}
    }
    abandon(&token, &mut pending).await;
    Ended::new(Ending::Gone, pipes)
}

async fn run(token: &Token, pipes: &mut Pipes, pending: &mut Option<Pending>) {
    while let Some(order) = pipes.orders.recv().await {
        // What is to be forgotten was just done.
        let Order::Command(frame) = order else { continue };
        let Pipes { orders, news } = &mut *pipes;
        let answer = tokio::select! {
            answer = work(token, frame, pending, news) => answer,
            // Until it is done, there is but one other order.
            _ = orders.recv() => Vec::new(),
        };
        abandon(token, pending).await;
        news.send(News::Done(answer)).ok();
    }
}

/// Has a frame answered. When this is dropped before it is done, call [`abandon`].
async fn work(
    token: &Token,
    frame: Frame,
    pending: &mut Option<Pending>,
    news: &mpsc::UnboundedSender<News>,
) -> Vec<u8> {
    token.note_request();
    let faults = token.faults();
    speech(faults).await;
    let mut waiting = token.touch().waiting();
    // Before its turn comes, others wait for touches.
    *pending = token.queue(Request::Frame(frame)).await;
    waiting.mark_unchanged();
    let answer = loop {
        let Some(pending) = pending.as_mut() else { return Vec::new() };
        tokio::select! {
            answer = pending.answer() => break answer,
            Ok(()) = waiting.changed() => {
                let waits = *waiting.borrow_and_update();
                news.send(News::Waits(waits.then_some(TOUCH_PATIENCE))).ok();
            }
        }
    };
    *pending = None;
    speech(faults).await;
    faults.released().await;
    let mut answer = answer.unwrap_or_default();
    faults.garble(&mut answer);
    answer
}

/// Never returns when the fault that is on has it answer nothing.
async fn speech(faults: &Faults) {
    if faults.is_silent() {
        std::future::pending::<()>().await;
    }
}

async fn abandon(token: &Token, pending: &mut Option<Pending>) {
    if let Some(mut pending) = pending.take() {
        token.cancel();
        pending.answer().await.ok();
    }
}
