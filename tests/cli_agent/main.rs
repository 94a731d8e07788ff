//! The command line as a process of its own, against a scripted daemon on a private socket.
#![cfg(test)]

mod mock;

use mock::{Ask, Credentials, Mock, Plan};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::LocalModes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

/// In a session of its own, so that no terminal of whoever runs the tests is found.
fn rootseal(mock: &Mock, arguments: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command.args(["-w", env!("CARGO_BIN_EXE_rootseal")]).args(arguments);
    command.env_clear().env("ROOTSEAL_ADDRESS", mock.address()).stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn run(mock: &Mock, arguments: &[&str]) -> Output {
    rootseal(mock, arguments).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Nothing on standard output, and one sentence of ours that has `words` in it.
fn failed(output: &Output, code: i32, words: &str) {
    assert_eq!((output.status.code(), out(output)), (Some(code), ""), "{}", said(output));
    let last = said(output).lines().last().unwrap();
    assert!(last.starts_with("rootseal: ") && last.contains(words), "{}", said(output));
    assert_eq!(said(output).matches("rootseal: ").count(), 1, "{}", said(output));
}

struct PinFile(PathBuf);

impl PinFile {
    fn new(mock: &Mock, pin: &str) -> Self {
        let path = mock.directory().join("pin");
        std::fs::write(&path, pin).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

fn pin(retries: u32, failed: bool) -> Ask {
    Ask::Pin { token: "t1", retries, failed }
}

#[test]
fn a_cached_session_costs_one_call() {
    let mock = Mock::start(Plan { credentials: Credentials::Hit, ..Plan::default() });
    let output = run(&mock, &["credentials", "prod-root"]);
    assert_eq!((output.status.code(), out(&output)), (Some(0), "{\"Version\":1}\n"), "{}", said(&output));
    assert_eq!(said(&output), "");
    assert_eq!(mock.calls(), ["GetCredentials"]);
}

#[test]
fn without_a_surface_nothing_may_be_asked() {
    let mock = Mock::start(Plan { credentials: Credentials::Miss("unused".to_owned()), ..Plan::default() });
    failed(&run(&mock, &["credentials", "prod-root"]), 4, "nowhere to prompt");
    assert_eq!(mock.calls(), ["GetCredentials"]);
    assert_eq!(mock.events(), ["credentials prod-root no_prompt"]);
}

#[test]
fn no_prompt_wins_over_a_pin_file() {
    let mock = Mock::start(Plan { credentials: Credentials::Miss("unused".to_owned()), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    let arguments = ["--no-prompt", "--pin-file", file.path(), "credentials", "prod-root"];
    failed(&run(&mock, &arguments), 4, "nowhere to prompt");
    assert_eq!(mock.calls(), ["GetCredentials"]);
}

#[test]
fn a_pin_file_serves_the_daemon_and_the_touch_is_explained() {
    let touch = Ask::Touch { token: "t1", text: "unlock\x1b[2J the vault" };
    let mock = Mock::start(Plan { asks: vec![pin(8, false), touch], ..Plan::default() });
    let file = PinFile::new(&mock, "123456\n");
    let output = run(&mock, &["unlock", "--pin-file", file.path()]);
    assert_eq!((output.status.code(), out(&output)), (Some(0), ""), "{}", said(&output));
    assert_eq!(mock.events(), ["pin 123456", "touch shown"]);
    assert_eq!(said(&output), "Touch demo key: unlock\u{fffd}[2J the vault\n");
}

#[test]
fn on_a_bus_the_agent_serves_the_daemon_and_nobody_else() {
    let asks = vec![Ask::Stranger, pin(8, false), Ask::Touch { token: "t1", text: "unlock the vault" }];
    let mock = Mock::start_on_bus(Plan { asks, ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    let output = run(&mock, &["unlock", "--pin-file", file.path()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(mock.events(), ["refused org.rootseal.Error.NotAuthorized", "pin 123456", "touch shown"]);
}

#[test]
fn what_the_daemon_waits_for_is_shown() {
    let mock = Mock::start(Plan { asks: vec![Ask::Wait("waiting for a fresh code")], ..Plan::default() });
    let output = run(&mock, &["unlock"]);
    assert_eq!(said(&output), "waiting for a fresh code\n");
}

#[test]
fn a_scripted_pin_that_failed_is_not_sent_again() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false), pin(7, true)], ..Plan::default() });
    let file = PinFile::new(&mock, "000000");
    failed(
        &run(&mock, &["unlock", "--pin-file", file.path()]),
        4,
        "wrong for demo key, which has 7 tries left",
    );
    assert_eq!(mock.events(), ["pin 000000", "refused org.rootseal.Error.Cancelled"]);
}

#[test]
fn a_scripted_pin_never_spends_the_last_try() {
    let mock = Mock::start(Plan { asks: vec![pin(1, false)], ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    failed(&run(&mock, &["unlock", "--pin-file", file.path()]), 4, "one try left");
    assert_eq!(mock.events(), ["refused org.rootseal.Error.Cancelled"]);
}

#[test]
fn a_pin_file_that_others_can_read_is_refused() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o644)).unwrap();
    failed(&run(&mock, &["unlock", "--pin-file", file.path()]), 4, "chmod 600");
}

#[test]
fn without_a_terminal_a_pin_is_refused_and_the_cause_told() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    failed(&run(&mock, &["unlock"]), 4, "use --pin-file");
    assert_eq!(mock.events(), ["refused org.rootseal.Error.NoPrompt"]);
}

#[test]
fn another_token_than_the_one_named_gets_no_pin() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    failed(&run(&mock, &["--token", "t2", "unlock", "--pin-file", file.path()]), 4, "--token names t2");
    assert_eq!(mock.events(), ["refused org.rootseal.Error.Cancelled"]);
}

/// A terminal of our own with a command in its foreground.
struct Terminal {
    master: std::fs::File,
    device: rustix::fd::OwnedFd,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    fn unlock(mock: &Mock) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let device = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let child = Command::new("setsid")
            .args(["-c", "-w", env!("CARGO_BIN_EXE_rootseal"), "unlock"])
            .env("ROOTSEAL_ADDRESS", mock.address())
            .stdin(device.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { master: master.into(), device, child, seen: Vec::new() }
    }

    fn settings(&self) -> LocalModes {
        rustix::termios::tcgetattr(&self.device).unwrap().local_modes
    }

    /// Types once the question is there.
    fn answer(&mut self, keys: &[u8]) {
        let mut piece = [0; 256];
        while !self.seen.ends_with(b"tries left): ") {
            let count = self.master.read(&mut piece).unwrap();
            self.seen.extend_from_slice(&piece[..count]);
        }
        self.master.write_all(keys).unwrap();
    }

    /// How the command ended, and all that was ever shown.
    fn end(self) -> (Output, Vec<u8>) {
        let Self { mut master, device, child, mut seen } = self;
        let output = child.wait_with_output().unwrap();
        drop(device);
        // Once nobody has the terminal open, its other side reads as an error after what is left in it.
        let _end = master.read_to_end(&mut seen);
        (output, seen)
    }
}

#[test]
fn a_pin_is_typed_on_the_terminal_unseen() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let mut terminal = Terminal::unlock(&mock);
    terminal.answer(b"12x\x7f3456\r");
    let (output, seen) = terminal.end();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(mock.events(), ["pin 123456"]);
    assert!(
        !seen.windows(2).any(|pair| pair == b"12" || pair == b"34"),
        "{}",
        String::from_utf8_lossy(&seen)
    );
}

#[test]
fn control_c_at_the_pin_prompt_cancels_and_restores_the_terminal() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let mut terminal = Terminal::unlock(&mock);
    let before = terminal.settings();
    terminal.answer(b"");
    assert!(!terminal.settings().contains(LocalModes::ECHO), "nothing shows while a PIN is typed");
    terminal.answer(b"12\x03");
    terminal.child.wait().unwrap();
    assert_eq!(terminal.settings(), before);
    failed(&terminal.end().0, 4, "cancelled");
}

#[test]
fn a_signal_at_the_pin_prompt_restores_the_terminal() {
    let mock = Mock::start(Plan { asks: vec![pin(8, false)], ..Plan::default() });
    let mut terminal = Terminal::unlock(&mock);
    let before = terminal.settings();
    terminal.answer(b"12");
    // The session's leader is the command itself: setsid waits for it outside.
    let leader = rustix::termios::tcgetsid(&terminal.master).unwrap();
    rustix::process::kill_process(leader, rustix::process::Signal::TERM).unwrap();
    terminal.child.wait().unwrap();
    assert_eq!(terminal.settings(), before);
    assert_eq!(mock.events(), Vec::<String>::new());
}

/// Answers one connection and gives what was sent.
fn sts(reply: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut piece = [0; 1024];
        while !asked.ends_with(b"signed body") {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the request came whole");
            asked.extend_from_slice(&piece[..count]);
        }
        stream.write_all(reply.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (url, server)
}

#[test]
fn a_session_that_is_not_cached_is_fetched() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n<session/>\r\n";
    let (url, server) = sts(reply);
    let plan = Plan { credentials: Credentials::Miss(url), asks: vec![pin(8, false)] };
    let mock = Mock::start(plan);
    let file = PinFile::new(&mock, "123456");
    let mut command = rootseal(&mock, &["--pin-file", file.path(), "credentials", "prod-root"]);
    let command = command.env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:5555").env("AWS_REGION", "eu-west-1");
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), out(&output)), (Some(0), "{\"Version\":1}\n"), "{}", said(&output));
    assert!(server.join().unwrap().contains("x-signed: yes\r\n"));
    assert_eq!(
        mock.events(),
        ["credentials prod-root http://127.0.0.1:5555 eu-west-1", "pin 123456", "finish 200 <session/>\r\n"]
    );
    assert_eq!(mock.calls(), ["GetCredentials", "RegisterAgent", "Next", "Finish"]);
}

/// One HTTPS connection on loopback, with a certificate of `tests/cli_agent/tls`.
fn sts_over_tls() -> (String, std::thread::JoinHandle<std::io::Result<()>>) {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut asked = Vec::new();
        let mut piece = [0; 1024];
        while !asked.ends_with(b"signed body") {
            let count = stream.read(&mut piece)?;
            asked.extend_from_slice(&piece[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n<session>")
    });
    (url, server)
}

#[test]
fn a_certificate_is_trusted_by_the_bundle_that_the_user_names() {
    let (url, server) = sts_over_tls();
    let mock = Mock::start(Plan { credentials: Credentials::Miss(url), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli_agent/tls/authority.pem");
    let mut command = rootseal(&mock, &["--pin-file", file.path(), "credentials", "prod-root"]);
    let output = command.env("AWS_CA_BUNDLE", bundle).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    server.join().unwrap().unwrap();
    assert_eq!(mock.events().last().unwrap(), "finish 200 <session>");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (url, server) = sts_over_tls();
    let mock = Mock::start(Plan { credentials: Credentials::Miss(url), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    let output = run(&mock, &["--pin-file", file.path(), "credentials", "prod-root"]);
    failed(&output, 1, "UnknownIssuer");
    assert!(server.join().unwrap().is_err(), "no request went out");
    assert_eq!(mock.events().last().unwrap(), "abort tls");
}

#[test]
fn what_aws_refuses_reaches_the_daemon_as_it_came() {
    let reply = "HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\nconnection: close\r\n\r\ndenied";
    let (url, server) = sts(reply);
    let mock = Mock::start(Plan { credentials: Credentials::Miss(url), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    failed(&run(&mock, &["--pin-file", file.path(), "credentials", "prod-root"]), 1, "AWS refused");
    server.join().unwrap();
    assert_eq!(mock.events().last().unwrap(), "finish 403 denied");
}

#[test]
fn an_endpoint_that_is_not_there_aborts_the_operation() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let mock = Mock::start(Plan { credentials: Credentials::Miss(url), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    let output = run(&mock, &["--pin-file", file.path(), "credentials", "prod-root"]);
    failed(&output, 1, &format!("cannot reach 127.0.0.1:{port}: connection refused"));
    assert_eq!(mock.events().last().unwrap(), "abort unreachable");
}

#[test]
fn an_endpoint_without_tls_aborts_the_operation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let mock = Mock::start(Plan { credentials: Credentials::Miss(url), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    failed(&run(&mock, &["--pin-file", file.path(), "credentials", "prod-root"]), 1, "no safe connection");
    server.join().unwrap();
    assert_eq!(mock.events().last().unwrap(), "abort tls");
}

#[test]
fn the_daemons_errors_become_exit_codes_and_cannot_drive_a_terminal() {
    for (name, code) in [("NoVault", 1), ("TokenChoice", 2), ("Locked", 4), ("NoToken", 5), ("Damaged", 7)] {
        let refused = Credentials::Error(name, "a sentence\x1b]0;x\x07 of the daemon");
        let mock = Mock::start(Plan { credentials: refused, ..Plan::default() });
        let output = run(&mock, &["credentials", "prod-root"]);
        failed(&output, code, "a sentence\u{fffd}]0;x\u{fffd} of the daemon");
    }
}

#[test]
fn status_speaks_json_with_the_option_on_either_side() {
    let mock = Mock::start(Plan::default());
    for arguments in [["status", "--json"], ["--json", "status"]] {
        let output = run(&mock, &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let status: serde_json::Value = serde_json::from_str(out(&output)).unwrap();
        assert_eq!(status["state"], "absent");
        assert_eq!(status["address"], mock.address());
        assert_eq!(status["thresholds"]["guard"], 1);
        assert_eq!(status["lock_deadline"], serde_json::Value::Null);
        assert_eq!(status["accounts"], serde_json::Value::Null);
        assert_eq!(status["tokens"][0]["virtual"], true);
        assert_eq!(status["tokens"][0]["id"], "t1");
    }
    let output = run(&mock, &["status"]);
    assert!(out(&output).contains("run rootseal init"), "{}", out(&output));
}

#[test]
fn nobody_at_the_address_is_exit_code_3() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rootseal"));
    command.args(["--address", "unix:path=/nonexistent/socket", "status"]);
    failed(&command.output().unwrap(), 3, "start rootseald");
}

#[test]
fn a_wrong_command_line_is_one_sentence_and_exit_code_2() {
    for arguments in [&["totp", "add", "prod"][..], &["nonsense"], &["--address", "nowhere", "status"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_rootseal")).args(arguments).output().unwrap();
        failed(&output, 2, "");
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
}
