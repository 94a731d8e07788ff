//! The daemon as a process: options, configuration, hardening, and the wiring of the other rooms. No use case
//! and no protocol enters.

mod args;
mod config;
mod harden;
mod ready;

use crate::dbus::{Bus, House, Listener};
use crate::service::clock::SystemClock;
use crate::service::{self, LogPlace, Service};
use crate::store::{FileStore, StoreError};
use args::Args;
use clap::Parser as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Why the daemon did not start, or stopped.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the configuration {path} cannot be read: {reason}")]
    Config { path: PathBuf, reason: String },
    #[error("rotate_bytes in the configuration must be 4096 or more")]
    Rotate,
    #[error("there is neither XDG_STATE_HOME nor HOME: name the data directory with --data-dir")]
    NoDataDir,
    #[error("another rootseald is running on the data directory {0}: stop that one first")]
    InUse(PathBuf),
    #[error("the data directory {0} cannot be used: {1}")]
    Store(PathBuf, String),
    #[error("the process cannot be hardened: {0}")]
    Harden(std::io::Error),
    #[error("cannot listen at {0}: {1}")]
    Listen(PathBuf, std::io::Error),
    #[error("{0} is no address to listen at: it must be unix:path=PATH")]
    Address(String),
    #[error("the message bus cannot be served: {0}")]
    Bus(String),
    #[error("{0}")]
    Service(#[from] service::Error),
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    #[error("the descriptor of --ready-fd cannot be written: {0}")]
    Ready(std::io::Error),
}

/// Runs the daemon until it is told to stop.
pub fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one sentence that says why the daemon did not start")]
fn complain(sentence: &str) {
    eprintln!("rootseald: {sentence}");
}

fn start(args: &Args) -> Result<(), Error> {
    // First of all: nothing secret is in memory yet.
    harden::process().map_err(Error::Harden)?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(if args.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO })
        .without_time()
        .init();
    let config = config::load(args.config.as_deref())?;
    let directory = args.data_dir.clone().map_or_else(data_dir, Ok)?;
    let store = FileStore::open(&directory).map_err(|error| {
        if matches!(error, StoreError::InUse) {
            Error::InUse(directory.clone())
        } else {
            Error::Store(directory.clone(), service::in_full(&error))
        }
    })?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let result = runtime.block_on(run(args, config, store, directory));
    // Threads that wait for a token or a slow client are not waited for.
    runtime.shutdown_background();
    result
}

async fn run(args: &Args, config: config::Config, store: FileStore, directory: PathBuf) -> Result<(), Error> {
    use crate::store::Store as _;
    let path = store.path().to_owned();
    let service = Service::start(
        Box::new(store),
        path,
        LogPlace { path: directory.join("audit.log"), rotate: config.rotate_bytes()? },
        config.settings(args::counted(args.bus.as_deref()))?,
        Box::new(SystemClock),
    )
    .await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let house = House::new(Arc::clone(&service));

    let listener = match &args.listen {
        Some(address) => {
            let path = address.strip_prefix("unix:path=").filter(|path| !path.is_empty());
            let path = PathBuf::from(path.ok_or_else(|| Error::Address(address.clone()))?);
            Some(Listener::bind(&path).map_err(|error| Error::Listen(path, error))?)
        }
        None => None,
    };
    let bus = match (&args.bus, &args.listen) {
        (Some(bus), _) => Some(args::bus(bus)),
        (None, None) => Some(Bus::Session),
        (None, Some(_)) => None,
    };
    let _on_the_bus = match bus {
        Some(bus) => Some(
            crate::dbus::serve(&bus, house.clone()).await.map_err(|error| Error::Bus(error.to_string()))?,
        ),
        None => None,
    };
    let listening = async {
        match &listener {
            Some(listener) => listener.serve(house.clone()).await,
            None => std::future::pending().await,
        }
    };
    if service.lock_when().follows_machine() {
        tokio::spawn(crate::dbus::follow_logind(Arc::clone(&service)));
    }
    ready::tell(args.ready_fd).map_err(Error::Ready)?;
    service.open_audit_log();
    tokio::select! {
        () = listening => {}
        ended = Arc::clone(&service).lock_in_time() => ended.map_err(Error::Runtime)?,
        ended = Arc::clone(&service).lock_when_pulled() => ended.map_err(Error::Runtime)?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Keys and sessions are wiped before anything else is torn down.
    service.lock().await?;
    service.settle_audit_log().await;
    Ok(())
}

/// systemd's directory, else the user's.
fn data_dir() -> Result<PathBuf, Error> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = of("STATE_DIRECTORY") {
        return Ok(directory);
    }
    let state = of("XDG_STATE_HOME").or_else(|| of("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("rootseal")).ok_or(Error::NoDataDir)
}
