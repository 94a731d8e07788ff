//! A daemon that does what its plan says and remembers what was asked of it.

mod daemon;

use daemon::Daemon;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use zbus::MessageStream;
use zbus::connection::Builder;
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;

/// What the daemon asks its client before it does anything.
#[derive(Clone)]
pub(crate) enum Ask {
    Pin {
        token: &'static str,
        retries: u32,
        failed: bool,
    },
    Touch {
        token: &'static str,
        text: &'static str,
        /// Whether the token waits for one.
        waits: bool,
    },
    Wait(&'static str),
    /// Somebody else on the bus asks for the PIN.
    Stranger,
}

/// How `GetCredentials` ends.
#[derive(Clone)]
pub(crate) enum Credentials {
    Hit,
    /// The URL that the signed request is for.
    Miss(String),
    /// Needs a prompt, and no agent is there to show it.
    Nowhere,
    Error(&'static str, &'static str),
}

#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) credentials: Credentials,
    pub(crate) asks: Vec<Ask>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { credentials: Credentials::Hit, asks: Vec::new() }
    }
}

#[derive(Default)]
struct Log {
    calls: Mutex<Vec<String>>,
    events: Mutex<Vec<String>>,
    open: Mutex<usize>,
    closed: Condvar,
}

impl Log {
    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut open = self.open.lock().unwrap();
        *open = change(*open);
        self.closed.notify_all();
    }

    /// Until every client is gone, and with it whatever it might still have asked.
    fn settle(&self) {
        drop(self.closed.wait_while(self.open.lock().unwrap(), |open| *open > 0).unwrap());
    }

    fn event(&self, event: impl Into<String>) {
        self.events.lock().unwrap().push(event.into());
    }
}

/// A scripted daemon; it ends with the test's process.
pub(crate) struct Mock {
    directory: PathBuf,
    address: String,
    log: Arc<Log>,
    bus: Option<Child>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn new_directory() -> PathBuf {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("rootseal-cli-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

impl Mock {
    pub(crate) fn start(plan: Plan) -> Self {
        let directory = new_directory();
        let log = Arc::new(Log::default());
        let listener = std::os::unix::net::UnixListener::bind(directory.join("bus")).unwrap();
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    shared.count(|open| open.saturating_add(1));
                    serve(stream.into_std().unwrap(), plan.clone(), Arc::clone(&shared)).await;
                }
            });
        });
        let address = format!("unix:path={}", directory.join("bus").display());
        Self { directory, address, log, bus: None }
    }

    /// The same on a message bus of its own.
    pub(crate) fn start_on_bus(plan: Plan) -> Self {
        let directory = new_directory();
        let bus_address = format!("unix:path={}", directory.join("dbus").display());
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address", "--address", &bus_address])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(bus.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        let log = Arc::new(Log::default());
        let (ready, wait) = std::sync::mpsc::channel();
        let (shared, at) = (Arc::clone(&log), bus_address.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let builder = Builder::address(at.as_str()).name("org.rootseal.Daemon");
                let daemon = Daemon::new(plan, shared, Some(at.clone()));
                let connection = daemon.serve(builder).build().await.unwrap();
                ready.send(()).unwrap();
                connection.closed().await;
            });
        });
        wait.recv().unwrap();
        Self { directory, address: format!("bus:{bus_address}"), log, bus: Some(bus) }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The members called over all connections, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.log.settle();
        self.log.calls.lock().unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.log.settle();
        self.log.events.lock().unwrap().clone()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(bus) = &mut self.bus {
            bus.kill().unwrap();
            bus.wait().unwrap();
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

async fn serve(stream: std::os::unix::net::UnixStream, plan: Plan, log: Arc<Log>) {
    let builder = Builder::unix_stream(stream).server(zbus::Guid::generate()).p2p();
    let connection = Daemon::new(plan, Arc::clone(&log), None).serve(builder).build().await.unwrap();
    let mut messages = MessageStream::from(&connection);
    tokio::spawn(async move {
        while let Some(message) =
            std::future::poll_fn(|context| Pin::new(&mut messages).poll_next(context)).await
        {
            let Ok(message) = message else { break };
            if message.message_type() == Type::MethodCall {
                let member = message.header().member().unwrap().to_string();
                log.calls.lock().unwrap().push(member);
            }
        }
        drop(connection);
        log.count(|open| open.saturating_sub(1));
    });
}
