//! The token's own thread: it owns the flash and the applications, answers one request at a time, and saves the
//! state before each answer leaves. Dropping the power forgets what is in memory, as with a real token.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use ctaphid_app::{App as _, Command, Error as AppError};
use fido_authenticator::{Authenticator, Config, Conforming};
use littlefs2::{
    fs::{Allocation, Filesystem},
    path,
    path::Path,
};
use tokio::sync::{mpsc, oneshot};
use trussed::{
    ClientImplementation,
    backend::BackendId,
    pipe::{ServiceEndpoint, TrussedChannel},
    service::Service,
    types::CoreContext,
};
use trussed_core::{
    CryptoClient as _, InterruptFlag, try_syscall,
    types::{Bytes, Location},
};

use crate::{
    attestation,
    card::{Board, Button, Card, Frame, Identity, Parts, apdu::Status},
    fault::Faults,
    flash::{FLASH_SIZE, Flash},
    platform::{Call, Kernel, Platform, Store},
    services::{self, Services},
    state::{StateError, StateFile},
    touch::Touch,
};

/// The longest message, as getInfo announces it; 0 breaks clients.
pub const MAX_MSG_SIZE: usize = 3072;

/// The room that the authenticator's crate reserves for one answer: the longest CTAPHID message.
const RESPONSE_SIZE: usize = 7609;

/// authenticatorClientPIN, and how the answer with a key begins: success, `{1: {…five entries…}}`.
const CLIENT_PIN: u8 = 0x06;
const KEY_AGREEMENT: [u8; 4] = [0x00, 0xA1, 0x01, 0xA5];

/// Long enough to never end a wait before the client does; the crate's default is 30 s.
const TOUCH_TIMEOUT_MILLIS: u32 = 60 * 60 * 1000;

/// The authenticator's structures live on the stack.
const STACK_SIZE: usize = 16 * 1024 * 1024;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The authenticator does not know the CTAPHID command.
    #[error("unknown command")]
    Command,
    /// The request was empty, or the authenticator found its length wrong.
    #[error("invalid length")]
    Length,
    /// The state could not be saved, so the answer must not leave.
    #[error("the state was not saved")]
    NotSaved,
}

/// A client's request.
pub enum Request {
    /// A whole CTAPHID message: `Cbor` or `Msg`.
    Hid(Command, Vec<u8>),
    /// A whole command APDU.
    Card(Vec<u8>),
    /// A frame of the card's OTP application.
    Frame(Frame),
}

/// What the thread is asked to do.
pub enum Job {
    /// Answer this request.
    Request {
        /// The request.
        request: Request,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Vec<u8>, Failure>>,
    },
    /// Have the card forget what it was told since it was powered.
    CardReset,
    /// Set the PIN of a card that was never given one.
    CardPin {
        /// The PIN.
        pin: Vec<u8>,
        /// Told when it is done.
        done: oneshot::Sender<Result<(), Status>>,
    },
    /// Forget everything that is not in the flash.
    PowerCycle {
        /// Told when it is done.
        done: oneshot::Sender<()>,
    },
}

/// Why the thread could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state file is not usable.
    #[error(transparent)]
    State(#[from] StateError),
    /// The image in the state file holds no file system.
    #[error("the state file holds no token: {0}")]
    Flash(String),
    /// No thread could be started.
    #[error("cannot start the authenticator: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the thread shares with the rest of the program.
#[derive(Clone)]
pub struct Shared {
    /// The button.
    pub touch: Arc<Touch>,
    /// Set when nobody waits for the answer any more.
    pub interrupt: &'static InterruptFlag,
    /// What is done wrong.
    pub faults: Arc<Faults>,
    /// What the card says that it is.
    pub identity: Identity,
    /// Where the card shows the status of its OTP application.
    pub board: Board,
}

/// Starts the thread. It ends when the returned sender is dropped; when it ends otherwise, the sender is closed.
///
/// # Errors
/// When the state file is damaged or cannot be written: nothing is ever served from such a file.
pub fn start(state: StateFile, shared: Shared) -> Result<mpsc::UnboundedSender<Job>, StartError> {
    let image = state.load()?;
    let (jobs, mut queue) = mpsc::unbounded_channel();
    let (ready, started) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("authenticator".into()).stack_size(STACK_SIZE).spawn(move || {
        let fresh = image.is_none();
        let mut keeper = Keeper { state, flash: image.map_or_else(Flash::erased, Flash::from_image) };
        match keeper.prepare(fresh) {
            Ok(()) => {
                ready.send(Ok(())).ok();
                while keeper.power_on(&mut queue, &shared) {}
            }
            Err(error) => {
                ready.send(Err(error)).ok();
            }
        }
    })?;
    match started.recv() {
        Ok(outcome) => outcome.map(|()| jobs),
        Err(_) => Err(StartError::Flash("its thread ended".into())),
    }
}

struct Keeper {
    state: StateFile,
    flash: Flash,
}

impl Keeper {
    fn prepare(&mut self, fresh: bool) -> Result<(), StartError> {
        let broken = |error| StartError::Flash(format!("{error:?}"));
        if fresh {
            Filesystem::format(&mut self.flash).map_err(broken)?;
        }
        Filesystem::mount_and_then(&mut self.flash, |fs| attestation::provision(fs)).map_err(broken)?;
        Ok(self.state.save(&self.flash.image())?)
    }

    /// Serves until the power goes, `true` when it comes back.
    fn power_on(&self, queue: &mut mpsc::UnboundedReceiver<Job>, shared: &Shared) -> bool {
        let (mut internal, mut external, mut volatile) =
            (self.flash.clone(), Flash::erased(), Flash::erased());
        let (mut a, mut b, mut c) = (Allocation::new(), Allocation::new(), Allocation::new());
        let blank = Filesystem::format(&mut external).and(Filesystem::format(&mut volatile));
        let (Ok(()), Ok(internal), Ok(external), Ok(volatile)) = (
            blank,
            Filesystem::mount(&mut a, &mut internal),
            Filesystem::mount(&mut b, &mut external),
            Filesystem::mount(&mut c, &mut volatile),
        ) else {
            return false;
        };
        let store = Store { internal: &internal, external: &external, volatile: &volatile };
        let (fido_channel, card_channel) = (TrussedChannel::new(), TrussedChannel::new());
        let platform = Platform::new(store, Arc::clone(&shared.touch));
        let service = Service::with_dispatch(platform, Services::default());
        let call = Call(Rc::new(RefCell::new(Kernel { service, endpoints: Vec::new() })));

        let Some(client) = connect(&call, &fido_channel, path!("fido"), services::FIDO, shared) else {
            return false;
        };
        let mut config = Config::new(MAX_MSG_SIZE);
        config.fido2_up_timeout = Some(TOUCH_TIMEOUT_MILLIS);
        let mut fido = Authenticator::new(client, Conforming {}, config);
        let new_card = || {
            // Its old endpoint goes, and what it knew of the client with it.
            call.0.borrow_mut().endpoints.truncate(1);
            let mut client = connect(&call, &card_channel, path!("piv"), services::PIV, shared)?;
            try_syscall!(client.delete_all(Location::Volatile)).ok();
            let button = Button::new(Arc::clone(&shared.touch), shared.interrupt);
            let (identity, faults, board) = (shared.identity, &*shared.faults, Arc::clone(&shared.board));
            Some(Card::new(Parts { client, fs: &internal, button, identity, faults, board }))
        };
        let mut card = new_card();

        let mut saved = self.flash.image();
        while let Some(job) = queue.blocking_recv() {
            match job {
                Job::Request { request, reply } => {
                    let outcome = match (request, &mut card) {
                        (Request::Hid(command, message), _) => {
                            answer(&mut fido, command, &message, &shared.faults)
                        }
                        (Request::Card(command), Some(card)) => Ok(card.transmit(&command)),
                        (Request::Frame(frame), Some(card)) => Ok(card.frame(&frame)),
                        (Request::Card(_) | Request::Frame(_), None) => Err(Failure::Command),
                    };
                    shared.touch.release();
                    // The client may be gone; what it changed is still kept.
                    reply.send(self.save(&mut saved).and(outcome)).ok();
                }
                Job::CardReset => {
                    // The old one has to let go of its channel first.
                    drop(card.take());
                    card = new_card();
                }
                Job::CardPin { pin, done } => {
                    let outcome = card.as_mut().map_or(Err(Status::MEMORY), |card| card.first_pin(&pin));
                    done.send(self.save(&mut saved).map_err(|_unsaved| Status::MEMORY).and(outcome)).ok();
                }
                Job::PowerCycle { done } => {
                    done.send(()).ok();
                    return true;
                }
            }
        }
        false
    }

    fn save(&self, saved: &mut Vec<u8>) -> Result<(), Failure> {
        let image = self.flash.image();
        debug_assert_eq!(image.len(), FLASH_SIZE);
        if image != *saved {
            self.state.save(&image).map_err(|error| {
                crate::token::complain(&error);
                Failure::NotSaved
            })?;
            *saved = image;
        }
        Ok(())
    }
}

type Client<'a> = ClientImplementation<'a, Call<'a>, Services>;

/// Makes an application's way to the service.
fn connect<'a>(
    call: &Call<'a>,
    channel: &'a TrussedChannel,
    name: &'static Path,
    backends: &'static [BackendId<services::Backend>],
    shared: &Shared,
) -> Option<Client<'a>> {
    let (requester, responder) = channel.split()?;
    let context = CoreContext::with_interrupt(name.into(), Some(shared.interrupt));
    call.0.borrow_mut().endpoints.push(ServiceEndpoint::new(responder, context, backends));
    Some(ClientImplementation::new(requester, call.clone(), Some(shared.interrupt)))
}

/// Answers one CTAPHID message.
fn answer(
    fido: &mut Authenticator<Conforming, Client<'_>>,
    command: Command,
    message: &[u8],
    faults: &Faults,
) -> Result<Vec<u8>, Failure> {
    let mut response = Bytes::<RESPONSE_SIZE>::new();
    match fido.call(command, message, response.as_mut_view()) {
        Ok(()) => {}
        Err(AppError::InvalidLength) => return Err(Failure::Length),
        Err(AppError::InvalidCommand | AppError::NoResponse) => return Err(Failure::Command),
    }
    let mut response = response.as_slice().to_vec();
    // The answer to getKeyAgreement ends with the point's y.
    if message.first() == Some(&CLIENT_PIN) && response.starts_with(&KEY_AGREEMENT) {
        faults.spoil_point(&mut response);
    }
    Ok(response)
}
