//! A daemon that does what its plan says and remembers what was asked of it.
#![expect(
    clippy::unused_self,
    clippy::needless_pass_by_value,
    clippy::used_underscore_binding,
    reason = "zbus asks for methods that take their arguments by value, whether they use them or not"
)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use zbus::connection::Builder;
use zbus::export::futures_core::Stream as _;
use zbus::message::{Header, Type};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, MessageStream, ObjectPath, OwnedFd, OwnedObjectPath, OwnedVariant, Variant};

type Dict = HashMap<String, OwnedVariant>;
type Request<'text> = HashMap<&'static str, Variant<'text>>;

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

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.rootseal.Error")]
enum Error {
    #[zbus(error)]
    Bus(zbus::Error),
    NoVault(String),
    TokenChoice(String),
    Locked(String),
    NoToken(String),
    Damaged(String),
    NoPrompt(String),
    Cancelled(String),
    AwsRefused(String),
}

struct Daemon {
    plan: Plan,
    log: Arc<Log>,
    bus: Option<String>,
    /// Who registered an agent, on a bus.
    agent: Mutex<Option<String>>,
}

impl Daemon {
    fn new(plan: Plan, log: Arc<Log>, bus: Option<String>) -> Arc<Self> {
        Arc::new(Self { plan, log, bus, agent: Mutex::default() })
    }

    fn serve(self: Arc<Self>, builder: Builder<'_>) -> Builder<'_> {
        builder
            .serve_at("/org/rootseal", Manager(Arc::clone(&self)))
            .serve_at("/org/rootseal/vault", Vault(Arc::clone(&self)))
            .serve_at("/org/rootseal/operations/1", Operation(self))
    }

    async fn call(
        &self,
        connection: &Connection,
        member: &str,
        request: Option<&Request<'_>>,
    ) -> zbus::Result<zbus::Message> {
        let agent = self.agent.lock().unwrap().clone();
        let (agent, path, interface) = (agent.as_deref(), "/org/rootseal/agent", Some("org.rootseal.Agent1"));
        match request {
            Some(request) => connection.call_method(agent, path, interface, member, &(request,)).await,
            None => connection.call_method(agent, path, interface, member, &()).await,
        }
    }

    async fn ask(&self, connection: &Connection) -> Result<(), Error> {
        for ask in &self.plan.asks {
            match ask {
                Ask::Pin { token, retries, failed } => {
                    let mut request = about(token, "unlock the vault");
                    request.insert("retries", Variant::from(*retries));
                    request.insert("failed", Variant::from(*failed));
                    let reply = self
                        .call(connection, "RequestPin", Some(&request))
                        .await
                        .map_err(|error| self.refused(&error))?;
                    let mut pin = String::new();
                    let descriptor: OwnedFd = reply.body().deserialize().unwrap();
                    let descriptor = std::os::fd::OwnedFd::from(descriptor);
                    std::fs::File::from(descriptor).read_to_string(&mut pin).unwrap();
                    self.log.event(format!("pin {pin}"));
                }
                Ask::Touch { token, text } => {
                    let request = about(token, text);
                    self.call(connection, "RequestTouch", Some(&request))
                        .await
                        .map_err(|error| self.refused(&error))?;
                    self.log.event("touch shown");
                    self.call(connection, "Done", None).await.unwrap();
                }
                Ask::Stranger => {
                    let mut request = about("t1", "unlock the vault");
                    request.insert("retries", Variant::from(8_u32));
                    request.insert("failed", Variant::from(false));
                    let stranger = Builder::address(self.bus.as_deref().unwrap()).build().await.unwrap();
                    let error = self.call(&stranger, "RequestPin", Some(&request)).await.unwrap_err();
                    let _unauthorised = self.refused(&error);
                }
                Ask::Wait(text) => {
                    let emitter = SignalEmitter::new(connection, "/org/rootseal").unwrap();
                    let mut prompt = about("", text);
                    prompt.insert("kind", Variant::from("wait"));
                    emitter.emit("org.rootseal.Manager1", "Prompt", &(prompt,)).await.unwrap();
                }
            }
        }
        Ok(())
    }

    fn refused(&self, error: &zbus::Error) -> Error {
        let zbus::Error::MethodError(name, _, _) = error else { panic!("{error}") };
        self.log.event(format!("refused {name}"));
        Error::Cancelled("the prompt was refused".to_owned())
    }
}

fn about<'text>(token: &'text str, text: &'text str) -> Request<'text> {
    HashMap::from([
        ("token", Variant::from(token)),
        ("label", Variant::from("demo key")),
        ("text", Variant::from(text)),
        ("deadline", Variant::from(4_000_000_000_u64)),
    ])
}

fn text(options: &Dict, key: &str) -> String {
    options.get(key).map_or_else(String::new, |value| format!(" {}", value.downcast_ref::<&str>().unwrap()))
}

fn write(out: OwnedFd, result: &[u8]) {
    std::fs::File::from(std::os::fd::OwnedFd::from(out)).write_all(result).unwrap();
}

fn expiration() -> Dict {
    HashMap::from([("expiration".to_owned(), OwnedVariant::from(4_000_000_000_u64))])
}

struct Manager(Arc<Daemon>);

#[zbus::interface(name = "org.rootseal.Manager1")]
impl Manager {
    #[zbus(property)]
    fn version(&self) -> &'static str {
        "0.1.0"
    }

    fn tokens(&self) -> Vec<Dict> {
        let texts = [("id", "t1"), ("kind", "fido"), ("label", "demo key"), ("serial", "")];
        let flags = [("virtual", true), ("enrolled", false), ("needs_pin", true)];
        let mut token = Dict::new();
        for (key, value) in texts {
            token.insert(key.to_owned(), Variant::from(value).try_to_owned().unwrap());
        }
        for (key, value) in flags {
            token.insert(key.to_owned(), OwnedVariant::from(value));
        }
        vec![token]
    }

    fn register_agent(&self, path: ObjectPath<'_>, #[zbus(header)] header: Header<'_>) {
        assert_eq!(path.as_str(), "/org/rootseal/agent");
        *self.0.agent.lock().unwrap() = header.sender().map(ToString::to_string);
    }

    fn get_credentials(&self, profile: &str, options: Dict, out: OwnedFd) -> Result<Dict, Error> {
        let no_prompt = options.contains_key("no_prompt");
        let asked = format!(
            "credentials {profile}{}{}{}",
            text(&options, "endpoint"),
            text(&options, "region"),
            if no_prompt { " no_prompt" } else { "" }
        );
        match &self.0.plan.credentials {
            Credentials::Hit => {
                write(out, b"{\"Version\":1}");
                Ok(expiration())
            }
            Credentials::Miss(_) if no_prompt => {
                self.0.log.event(asked);
                Err(Error::NoPrompt("there is nowhere to prompt".to_owned()))
            }
            Credentials::Miss(_) => {
                self.0.log.event(asked);
                let path = OwnedObjectPath::try_from("/org/rootseal/operations/1").unwrap();
                Ok(HashMap::from([("operation".to_owned(), Variant::from(path).try_to_owned().unwrap())]))
            }
            Credentials::Error(name, message) => Err(error(name, message)),
        }
    }
}

fn error(name: &str, message: &str) -> Error {
    let message = message.to_owned();
    match name {
        "NoVault" => Error::NoVault(message),
        "TokenChoice" => Error::TokenChoice(message),
        "Locked" => Error::Locked(message),
        "NoToken" => Error::NoToken(message),
        "Damaged" => Error::Damaged(message),
        name => panic!("{name} is not in the plan"),
    }
}

struct Vault(Arc<Daemon>);

#[zbus::interface(name = "org.rootseal.Vault1")]
impl Vault {
    async fn unlock(&self, _options: Dict, #[zbus(connection)] connection: &Connection) -> Result<(), Error> {
        self.0.ask(connection).await
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        "absent"
    }

    #[zbus(property)]
    fn problem(&self) -> &'static str {
        ""
    }

    #[zbus(property)]
    fn path(&self) -> &'static str {
        "/data/vault.rseal"
    }

    #[zbus(property)]
    fn generation(&self) -> u64 {
        0
    }

    #[zbus(property)]
    fn thresholds(&self) -> (u32, u32) {
        (1, 1)
    }

    #[zbus(property)]
    fn lock_deadline(&self) -> u64 {
        0
    }

    #[zbus(property)]
    fn keyslots(&self) -> Vec<Dict> {
        Vec::new()
    }
}

struct Operation(Arc<Daemon>);

#[zbus::interface(name = "org.rootseal.Operation1")]
impl Operation {
    async fn next(&self, #[zbus(connection)] connection: &Connection) -> Result<OwnedFd, Error> {
        self.0.ask(connection).await?;
        let Credentials::Miss(url) = &self.0.plan.credentials else { panic!("nothing to sign") };
        let request = serde_json::json!({
            "method": "POST", "url": url, "headers": [["x-signed", "yes"]], "body": "signed body",
        });
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, request.to_string().as_bytes()).unwrap();
        Ok(read.into())
    }

    fn finish(&self, status: u16, response: OwnedFd, out: OwnedFd) -> Result<Dict, Error> {
        let mut body = String::new();
        let response = std::os::fd::OwnedFd::from(response);
        std::fs::File::from(response).read_to_string(&mut body).unwrap();
        self.0.log.event(format!("finish {status} {body}"));
        if status != 200 {
            return Err(Error::AwsRefused("AWS refused: AccessDenied".to_owned()));
        }
        write(out, b"{\"Version\":1}\n");
        Ok(expiration())
    }

    fn abort(&self, reason: &str) {
        self.0.log.event(format!("abort {reason}"));
    }
}
