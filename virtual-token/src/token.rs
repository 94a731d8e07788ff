//! The handle on the authenticator that every connection shares.

use std::{
    fmt::Display,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot, watch};
use trussed_core::InterruptFlag;

use crate::{
    authenticator::{self, Failure, Job, Request, Shared, StartError},
    card::{Board, Identity, apdu::Status},
    fault::Faults,
    state::StateFile,
    touch::{Mode, Touch},
};

/// Writes one line for whoever started the token.
pub fn complain(message: &dyn Display) {
    writeln!(std::io::stderr(), "rootseal-virtual-token: {message}").ok();
}

/// How long a request waits for another connection's transaction. A vanished client's wait is cancelled, and
/// is over well within this; a living client's makes the answer `ERR_CHANNEL_BUSY`.
const TURN: Duration = Duration::from_secs(1);

/// One token.
#[derive(Clone)]
pub struct Token {
    jobs: mpsc::UnboundedSender<Job>,
    interrupt: &'static InterruptFlag,
    touch: Arc<Touch>,
    faults: Arc<Faults>,
    board: Board,
    turn: Arc<Mutex<()>>,
    requests: Arc<AtomicU64>,
    last_channel: Arc<AtomicU32>,
}

/// A request that the authenticator works at. Nobody else gets a turn until this is dropped.
pub struct Pending {
    reply: oneshot::Receiver<Result<Vec<u8>, Failure>>,
    _turn: OwnedMutexGuard<()>,
}

impl Pending {
    /// The answer. May be dropped and called again.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn answer(&mut self) -> Result<Vec<u8>, Failure> {
        (&mut self.reply).await.unwrap_or(Err(Failure::NotSaved))
    }
}

impl Token {
    /// Starts the authenticator on a state file.
    ///
    /// # Errors
    /// See [`authenticator::start`].
    pub fn start(state: StateFile, mode: Mode, identity: Identity) -> Result<Self, StartError> {
        // The framework wants the flag to live as long as the process, and there is one for each token.
        let interrupt: &'static InterruptFlag = Box::leak(Box::default());
        let (touch, faults) = (Arc::new(Touch::new(mode)), Arc::<Faults>::default());
        let board = Board::new(watch::Sender::new(None));
        let shared = Shared {
            touch: Arc::clone(&touch),
            interrupt,
            faults: Arc::clone(&faults),
            identity,
            board: Arc::clone(&board),
        };
        Ok(Self {
            jobs: authenticator::start(state, shared)?,
            interrupt,
            touch,
            faults,
            board,
            turn: Arc::default(),
            requests: Arc::default(),
            last_channel: Arc::default(),
        })
    }

    /// Hands a request over; `None` when another client's transaction goes on for too long.
    pub async fn submit(&self, request: Request) -> Option<Pending> {
        tokio::time::timeout(TURN, self.queue(request)).await.ok()?
    }

    /// Hands a request over when its turn has come, however long that takes; `None` when the authenticator has
    /// failed.
    pub async fn queue(&self, request: Request) -> Option<Pending> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // From now on a cancel counts, even before the authenticator's thread has begun.
        self.interrupt.set_working();
        let (reply, receiver) = oneshot::channel();
        self.jobs.send(Job::Request { request, reply }).ok()?;
        Some(Pending { reply: receiver, _turn: turn })
    }

    /// Returns when no request is under way any more, nor any that came before this.
    pub async fn idle(&self) {
        // Turns come in the order in which they were asked for.
        drop(self.turn.lock().await);
    }

    /// Ends a wait for a touch at once. Work that does not wait runs to its end.
    pub fn cancel(&self) {
        self.interrupt.interrupt();
        self.touch.wake();
    }

    /// Returns when the authenticator has failed: nothing will be answered any more.
    pub async fn failed(&self) {
        self.jobs.closed().await;
    }

    /// Takes the power away and gives it back. To be called while no request is pending.
    pub async fn power_cycle(&self) {
        let (done, finished) = oneshot::channel();
        if self.jobs.send(Job::PowerCycle { done }).is_ok() {
            finished.await.ok();
        }
    }

    /// Has the card forget what it was told, as a reset does, before it is told anything else.
    pub fn reset_card(&self) {
        self.jobs.send(Job::CardReset).ok();
    }

    /// Sets the PIN of a card that was never given one.
    ///
    /// # Errors
    /// When it is no PIN for PIV.
    pub async fn set_card_pin(&self, pin: &str) -> Result<(), Status> {
        let (done, finished) = oneshot::channel();
        self.jobs.send(Job::CardPin { pin: pin.into(), done }).map_err(|_ended| Status::MEMORY)?;
        finished.await.unwrap_or(Err(Status::MEMORY))
    }

    /// A fresh CTAPHID channel: never 0, never the broadcast channel.
    pub fn allocate_channel(&self) -> u32 {
        self.last_channel.fetch_add(1, Ordering::Relaxed).wrapping_add(1).clamp(1, u32::MAX - 1)
    }

    /// The button.
    pub fn touch(&self) -> &Touch {
        &self.touch
    }

    /// What it does wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What the card's OTP application shows: its status, since it first ran.
    pub fn otp_status(&self) -> watch::Receiver<Option<[u8; 6]>> {
        self.board.subscribe()
    }

    /// Counts a client's request.
    pub fn note_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests the clients have sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}
