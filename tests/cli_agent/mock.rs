//! A daemon that does what its plan says and remembers what was asked of it.
#![expect(
    clippy::unused_self,
    clippy::needless_pass_by_value,
    clippy::used_underscore_binding,
    reason = "zbus asks for methods that take their arguments by value, whether they use them or not"
)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, MessageStream, ObjectPath, OwnedFd, OwnedObjectPath, OwnedVariant, Variant};

type Dict = HashMap<String, OwnedVariant>;

/// What the daemon asks its client before it does anything.
#[derive(Clone)]
pub(crate) enum Ask {
    Pin { token: &'static str, retries: u32, failed: bool },
    Touch { token: &'static str, text: &'static str },
    Wait(&'static str),
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
    log: Arc<Log>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Mock {
    pub(crate) fn start(plan: Plan) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("rootseal-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
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
        Self { directory, log }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}", self.directory.join("bus").display())
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
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

async fn serve(stream: std::os::unix::net::UnixStream, plan: Plan, log: Arc<Log>) {
    let daemon = Arc::new(Daemon { plan, log: Arc::clone(&log) });
    let connection = zbus::connection::Builder::unix_stream(stream)
        .server(zbus::Guid::generate())
        .p2p()
        .serve_at("/org/rootseal", Manager(Arc::clone(&daemon)))
        .serve_at("/org/rootseal/vault", Vault(Arc::clone(&daemon)))
        .serve_at("/org/rootseal/operations/1", Operation(daemon))
        .build()
        .await
        .unwrap();
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
}

impl Daemon {
    async fn ask(&self, connection: &Connection) -> Result<(), Error> {
        for ask in &self.plan.asks {
            match ask {
                Ask::Pin { token, retries, failed } => {
                    let mut request = about(token, "unlock the vault");
                    request.insert("retries", Variant::from(*retries));
                    request.insert("failed", Variant::from(*failed));
                    let reply = call(connection, "RequestPin", &request)
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
                    call(connection, "RequestTouch", &request).await.map_err(|error| self.refused(&error))?;
                    self.log.event("touch shown");
                    connection
                        .call_method(
                            None::<&str>,
                            "/org/rootseal/agent",
                            Some("org.rootseal.Agent1"),
                            "Done",
                            &(),
                        )
                        .await
                        .unwrap();
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

fn about<'text>(token: &'text str, text: &'text str) -> HashMap<&'static str, Variant<'text>> {
    HashMap::from([
        ("token", Variant::from(token)),
        ("label", Variant::from("demo key")),
        ("text", Variant::from(text)),
        ("deadline", Variant::from(4_000_000_000_u64)),
    ])
}

async fn call(
    connection: &Connection,
    member: &str,
    request: &HashMap<&'static str, Variant<'_>>,
) -> zbus::Result<zbus::Message> {
    let agent = "org.rootseal.Agent1";
    connection.call_method(None::<&str>, "/org/rootseal/agent", Some(agent), member, &(request,)).await
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

    fn register_agent(&self, path: ObjectPath<'_>) {
        assert_eq!(path.as_str(), "/org/rootseal/agent");
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
