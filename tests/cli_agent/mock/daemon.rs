//! The interfaces.

#![expect(
    clippy::unused_self,
    clippy::needless_pass_by_value,
    clippy::used_underscore_binding,
    reason = "zbus asks for methods that take their arguments by value, whether they use them or not"
)]

use super::{Ask, Credentials, Log, Plan};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use zbus::connection::Builder;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath, OwnedFd, OwnedObjectPath, OwnedVariant, Variant};

/// The number of every prompt.
const PROMPT: u64 = 7;

type Dict = HashMap<String, OwnedVariant>;
type Request<'text> = HashMap<&'static str, Variant<'text>>;

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

pub(super) struct Daemon {
    plan: Plan,
    log: Arc<Log>,
    bus: Option<String>,
    /// Who registered an agent, on a bus.
    agent: Mutex<Option<String>>,
}

impl Daemon {
    pub(super) fn new(plan: Plan, log: Arc<Log>, bus: Option<String>) -> Arc<Self> {
        Arc::new(Self { plan, log, bus, agent: Mutex::default() })
    }

    pub(super) fn serve(self: Arc<Self>, builder: Builder<'_>) -> Builder<'_> {
        builder
            .serve_at("/org/rootseal", Manager(Arc::clone(&self)))
            .serve_at("/org/rootseal", Audit)
            .serve_at("/org/rootseal/vault", Drill)
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
            None => connection.call_method(agent, path, interface, member, &(PROMPT,)).await,
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
                Ask::Touch { token, text, waits } => {
                    let mut request = about(token, text);
                    request.insert("touch", Variant::from(*waits));
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
                    match self.call(&stranger, "RequestPin", Some(&request)).await {
                        Ok(_) => self.log.event("a stranger got the PIN"),
                        Err(error) => drop(self.refused(&error)),
                    }
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
        if name.ends_with(".NoPrompt") {
            return Error::NoPrompt("there is nowhere to prompt".to_owned());
        }
        Error::Cancelled("the prompt was refused".to_owned())
    }
}

fn about<'text>(token: &'text str, text: &'text str) -> Request<'text> {
    HashMap::from([
        ("prompt", Variant::from(PROMPT)),
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
        let texts =
            [("id", "t1"), ("kind", "fido"), ("label", "demo key"), ("serial", ""), ("touch", "always")];
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

    fn token_problems(&self) -> Vec<Dict> {
        Vec::new()
    }

    fn register_own_agent(&self, path: ObjectPath<'_>, #[zbus(header)] header: Header<'_>) {
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
            Credentials::Miss(_) | Credentials::Nowhere if no_prompt => {
                self.0.log.event(asked);
                Err(Error::NoPrompt("there is nowhere to prompt".to_owned()))
            }
            Credentials::Miss(_) | Credentials::Nowhere => {
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

struct Audit;

#[zbus::interface(name = "org.rootseal.Audit1")]
impl Audit {
    #[zbus(property)]
    fn warnings(&self) -> Vec<String> {
        vec!["a warning\x1b[2J".to_owned()]
    }
}

struct Drill;

#[zbus::interface(name = "org.rootseal.Drill1")]
impl Drill {
    #[zbus(property)]
    fn last(&self) -> u64 {
        0
    }

    #[zbus(property)]
    fn due(&self) -> u64 {
        1_700_000_000
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
        if matches!(self.0.plan.credentials, Credentials::Nowhere) {
            return Err(Error::NoPrompt("there is nowhere to prompt".to_owned()));
        }
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
