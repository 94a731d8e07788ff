//! The authenticator's own thread: it owns the flash, answers one request at a time, and saves the state
//! before each answer leaves. Dropping the power forgets what is in memory, as with a real token.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use ctaphid_app::{App as _, Command, Error as AppError};
use fido_authenticator::{Authenticator, Config, Conforming};
use littlefs2::{
    fs::{Allocation, Filesystem},
    path,
};
use tokio::sync::{mpsc, oneshot};
use trussed::{
    ClientImplementation,
    backend::BackendId,
    pipe::{ServiceEndpoint, TrussedChannel},
    service::Service,
    types::CoreContext,
};
use trussed_core::{InterruptFlag, types::Bytes};
use trussed_staging::virt::{BackendIds, Dispatcher};

use crate::{
    attestation,
    flash::{FLASH_SIZE, Flash},
    platform::{Call, Kernel, Platform, Store},
    state::{StateError, StateFile},
    touch::Touch,
};

/// The longest message, as getInfo announces it; 0 breaks clients.
pub const MAX_MSG_SIZE: usize = 3072;

/// The room that the authenticator's crate reserves for one answer: the longest CTAPHID message.
const RESPONSE_SIZE: usize = 7609;

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

/// What the thread is asked to do.
pub enum Job {
    /// Answer this request.
    Request {
        /// `Cbor` or `Msg`.
        command: Command,
        /// The whole message.
        message: Vec<u8>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Vec<u8>, Failure>>,
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

/// Starts the thread. It ends when the returned sender is dropped; when it ends otherwise, the sender is closed.
///
/// # Errors
/// When the state file is damaged or cannot be written: nothing is ever served from such a file.
pub fn start(
    state: StateFile,
    touch: Arc<Touch>,
    interrupt: &'static InterruptFlag,
) -> Result<mpsc::UnboundedSender<Job>, StartError> {
    let image = state.load()?;
    let (jobs, mut queue) = mpsc::unbounded_channel();
    let (ready, started) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("authenticator".into()).stack_size(STACK_SIZE).spawn(move || {
        let fresh = image.is_none();
        let mut keeper = Keeper { state, flash: image.map_or_else(Flash::erased, Flash::from_image) };
        match keeper.prepare(fresh) {
            Ok(()) => {
                ready.send(Ok(())).ok();
                while keeper.power_on(&mut queue, &touch, interrupt) {}
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
    fn power_on(
        &self,
        queue: &mut mpsc::UnboundedReceiver<Job>,
        touch: &Arc<Touch>,
        interrupt: &'static InterruptFlag,
    ) -> bool {
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

        let channel = TrussedChannel::new();
        let Some((requester, responder)) = channel.split() else { return false };
        let context = CoreContext::with_interrupt(path!("fido").into(), Some(interrupt));
        let kernel = Kernel {
            service: Service::with_dispatch(Platform::new(store, Arc::clone(touch)), Dispatcher::default()),
            endpoints: [ServiceEndpoint::new(
                responder,
                context,
                &[BackendId::Custom(BackendIds::StagingBackend), BackendId::Core],
            )],
        };
        let call = Call(Rc::new(RefCell::new(kernel)));
        let client = ClientImplementation::<_, Dispatcher>::new(requester, call, Some(interrupt));
        let mut config = Config::new(MAX_MSG_SIZE);
        config.fido2_up_timeout = Some(TOUCH_TIMEOUT_MILLIS);
        let mut app = Authenticator::new(client, Conforming {}, config);

        let mut saved = self.flash.image();
        while let Some(job) = queue.blocking_recv() {
            match job {
                Job::Request { command, message, reply } => {
                    let mut response = Bytes::<RESPONSE_SIZE>::new();
                    let outcome = app.call(command, &message, response.as_mut_view());
                    touch.release();
                    let outcome = match outcome {
                        Ok(()) => Ok(response.as_slice().to_vec()),
                        Err(AppError::InvalidLength) => Err(Failure::Length),
                        Err(AppError::InvalidCommand | AppError::NoResponse) => Err(Failure::Command),
                    };
                    // The client may be gone; what it changed is still kept.
                    reply.send(self.save(&mut saved).and(outcome)).ok();
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
