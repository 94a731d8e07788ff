//! What the Trussed framework asks of a device: randomness, file systems, a button, and a way to be called.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

use littlefs2::object_safe::DynFilesystem;
use rand_core::OsRng;
use trussed::{
    pipe::ServiceEndpoint,
    platform::{self, Syscall},
    service::Service,
    store,
};
use trussed_core::types::consent::Level;

use crate::{
    services::{Backend, Memory, Services},
    touch::Touch,
};

/// The three file systems; only the internal one outlives a power cycle.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    /// Kept in the state file.
    pub internal: &'a dyn DynFilesystem,
    /// Empty at each start; nothing of FIDO lives there.
    pub external: &'a dyn DynFilesystem,
    /// Empty at each start.
    pub volatile: &'a dyn DynFilesystem,
}

impl store::Store for Store<'_> {
    fn ifs(&self) -> &dyn DynFilesystem {
        self.internal
    }

    fn efs(&self) -> &dyn DynFilesystem {
        self.external
    }

    fn vfs(&self) -> &dyn DynFilesystem {
        self.volatile
    }
}

/// The button as Trussed sees it.
pub struct Panel {
    touch: Arc<Touch>,
    started: Instant,
}

impl platform::UserInterface for Panel {
    fn check_user_presence(&mut self) -> Level {
        if self.touch.take() { Level::Normal } else { Level::None }
    }

    fn refresh(&mut self) {
        self.touch.pause();
    }

    fn uptime(&mut self) -> std::time::Duration {
        self.started.elapsed()
    }
}

/// The device. Its random numbers come from the operating system: the framework's own test platform has a
/// fixed seed, which would give every token the same keys.
pub struct Platform<'a> {
    rng: OsRng,
    store: Store<'a>,
    panel: Panel,
}

impl<'a> Platform<'a> {
    /// A device that was just powered.
    pub fn new(store: Store<'a>, touch: Arc<Touch>) -> Self {
        Self { rng: OsRng, store, panel: Panel { touch, started: Instant::now() } }
    }
}

impl<'a> platform::Platform for Platform<'a> {
    type R = OsRng;
    type S = Store<'a>;
    type UI = Panel;

    fn rng(&mut self) -> &mut Self::R {
        &mut self.rng
    }

    fn store(&self) -> Self::S {
        self.store
    }

    fn user_interface(&mut self) -> &mut Self::UI {
        &mut self.panel
    }
}

/// The framework's service with its clients' endpoints.
pub struct Kernel<'a> {
    /// The service.
    pub service: Service<Platform<'a>, Services>,
    /// Where the clients' requests come in.
    pub endpoints: Vec<ServiceEndpoint<'a, Backend, Memory>>,
}

/// A call into the service, served at once on the caller's own thread.
#[derive(Clone)]
pub struct Call<'a>(pub Rc<RefCell<Kernel<'a>>>);

impl Syscall for Call<'_> {
    fn syscall(&mut self) {
        let Kernel { service, endpoints } = &mut *self.0.borrow_mut();
        service.process(endpoints);
    }
}
