//! What is measured: a daemon with ten accounts and one cached session, beside the floor server; both on
//! private sockets and on a message bus of their own. A virtual token and a canned STS stand in for the rest.

use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) const PROFILE: &str = "prod-root";
pub(crate) const PIN: &str = "123456";
const ACCOUNT: &str = "111122223333";

/// A program that writes a line to a descriptor when it serves; ended when it is dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it with `args`, the descriptor's number as the last of them, and returns when it is ready.
    pub(crate) fn start(command: &mut Command) -> Self {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        // The child inherits this end alone.
        fcntl_setfd(&write, FdFlags::empty()).unwrap();
        command.arg(write.as_raw_fd().to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = Self(command.spawn().unwrap());
        drop(write);
        let mut said = String::new();
        BufReader::new(File::from(read)).read_line(&mut said).unwrap();
        assert!(said.ends_with('\n'), "{command:?} did not start");
        child
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(crate) struct House {
    pub(crate) directory: PathBuf,
    pub(crate) bus: String,
    pub(crate) daemon: Program,
    endpoint: String,
    _others: [Program; 4],
}

impl House {
    /// Builds all of it below `directory`, which is made and, at the end, removed.
    pub(crate) fn furnish(directory: &Path) -> Self {
        std::fs::create_dir(directory).unwrap();
        let endpoint = sts();
        let at = |name: &str| directory.join(name);
        let toml = format!(
            "[tokens]\nhid_sockets = [\"{}\"]\n[aws]\nallowed_endpoints = [\"{endpoint}\"]\n",
            at("token.sock").display()
        );
        for (name, content) in [
            ("rootseald.toml", toml.as_str()),
            ("pin", PIN),
            (
                "rootkey.csv",
                "Access key ID,Secret access key\r\nAKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\r\n",
            ),
            ("uri", "otpauth://totp/root@111122223333?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBV\n"),
        ] {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(at(name)).unwrap();
            file.write_all(content.as_bytes()).unwrap();
        }
        let bus = format!("unix:path={}", at("message-bus").display());
        let message_bus = message_bus(&bus);
        let token = Program::start(
            Command::new(virtual_token())
                .arg("--socket")
                .arg(at("token.sock"))
                .arg("--state")
                .arg(at("token.state"))
                .args(["--pin", PIN, "--touch", "auto", "--ready-fd"]),
        );
        let daemon = Program::start(
            daemon(&at("data"))
                .args(["--config", at("rootseald.toml").to_str().unwrap(), "--bus", &bus])
                .args(["--listen", &listen(directory, "daemon"), "--ready-fd"]),
        );
        let nothing = Program::start(floor("floor_server").args(["listen", &listen(directory, "floor")]));
        let nothing_on_bus = Program::start(floor("floor_server").args(["bus", &bus]));
        let house = Self {
            directory: directory.to_owned(),
            bus,
            daemon,
            endpoint,
            _others: [message_bus, token, nothing, nothing_on_bus],
        };
        let pin = house.file("pin");
        house.run("daemon", &["--pin-file", &pin, "init", "--label", "bench"]);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            house.run("daemon", &["account", "add", name, "--account-id", ACCOUNT]);
        }
        house.open_a_session("daemon");
        house
    }

    /// A second daemon, at the address of `crowd`, with the vault in `crowd-data`.
    pub(crate) fn crowd(&self) -> Program {
        let data = self.directory.join("crowd-data");
        let daemon = Program::start(daemon(&data).args(["--config", &self.file("rootseald.toml")]).args([
            "--listen",
            &self.address("crowd"),
            "--ready-fd",
        ]));
        self.run("crowd", &["--pin-file", &self.file("pin"), "unlock"]);
        self.open_a_session("crowd");
        daemon
    }

    fn open_a_session(&self, at: &str) {
        let pin = self.file("pin");
        self.run(at, &["account", "add", "prod", "--account-id", ACCOUNT]);
        self.run(at, &["--pin-file", &pin, "key", "import", "prod", &self.file("rootkey.csv")]);
        self.run(at, &["--pin-file", &pin, "totp", "add", "prod", "--uri-file", &self.file("uri")]);
        self.run(at, &["profile", "add", PROFILE, "--account", "prod", "--duration", "3600"]);
        self.run(at, &["--pin-file", &pin, "credentials", PROFILE]);
    }

    /// Accounts with a seed each: of one seed there is a code every 30 seconds.
    pub(crate) fn add_seeds(&self, at: &str, accounts: &[String]) {
        for account in accounts {
            self.run(at, &["account", "add", account, "--account-id", ACCOUNT]);
            let uri = self.file("uri");
            self.run(at, &["--pin-file", &self.file("pin"), "totp", "add", account, "--uri-file", &uri]);
        }
    }

    /// The path of a file of the house.
    pub(crate) fn file(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// The address of `daemon`, `crowd` or `floor`.
    pub(crate) fn address(&self, of: &str) -> String {
        listen(&self.directory, of)
    }

    /// The client, talking to `address`.
    pub(crate) fn client(&self, address: &str) -> Command {
        let mut command = Command::new(programs().join("rootseal"));
        command.env_clear().env("HOME", &self.directory).env("PATH", "/usr/bin:/bin");
        command.env("ROOTSEAL_ADDRESS", address).env("AWS_ENDPOINT_URL_STS", &self.endpoint);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, at: &str, args: &[&str]) {
        let done = self.client(&self.address(at)).args(args).stderr(Stdio::piped()).output().unwrap();
        assert!(done.status.success(), "rootseal {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn listen(directory: &Path, name: &str) -> String {
    format!("unix:path={}", directory.join(name).display())
}

/// What is measured: `ROOTSEAL_BIN`, else what was built with this benchmark.
fn programs() -> PathBuf {
    let built = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    std::env::var_os("ROOTSEAL_BIN").map_or_else(built, PathBuf::from)
}

/// A message bus at `address`.
pub(crate) fn message_bus(address: &str) -> Program {
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--nopidfile", "--nosyslog"]);
    Program::start(command.args(["--address", address, "--print-address"]))
}

/// `rootseald` on a data directory.
pub(crate) fn daemon(data: &Path) -> Command {
    let mut command = Command::new(programs().join("rootseald"));
    command.env_clear().env("HOME", "/nonexistent").arg("--data-dir").arg(data);
    command
}

/// One of the empty programs.
pub(crate) fn floor(name: &str) -> Command {
    let program = programs().join("examples").join(name);
    assert!(program.exists(), "{} is missing: run `make bench`", program.display());
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// Its own speed is not measured, so any build of it serves.
fn virtual_token() -> PathBuf {
    if let Some(named) = std::env::var_os("ROOTSEAL_VIRTUAL_TOKEN") {
        return named.into();
    }
    let programs = programs();
    let target = programs.parent().unwrap();
    let built = ["release", "debug"].map(|profile| target.join(profile).join("rootseal-virtual-token"));
    built
        .into_iter()
        .find(|program| program.exists())
        .expect("the virtual token is missing: run `make bench`")
}

/// Grants a session to whoever asks; returns its URL.
fn sts() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            grant(stream.unwrap());
        }
    });
    url
}

fn grant(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    // As long as STS makes them.
    let token = "IQoJb3JpZ2luX2Vj".repeat(40);
    let body = format!(
        "<GetSessionTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetSessionTokenResult>\
         <Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </GetSessionTokenResult></GetSessionTokenResponse>",
        "x".repeat(40)
    );
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}
