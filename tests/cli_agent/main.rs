//! The command line as a process of its own, against a scripted daemon on a private socket.
#![cfg(test)]

mod mock;
mod sts;
mod terminal;

use mock::{Ask, Credentials, Mock, Plan};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

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
    let mock = Mock::start(Plan { credentials: Credentials::Nowhere, ..Plan::default() });
    failed(&run(&mock, &["credentials", "prod-root"]), 4, "nowhere to prompt");
    // It offers no agent of its own; whether another one of the user is there, the daemon knows.
    assert_eq!(mock.calls(), ["GetCredentials", "Next"]);
}

#[test]
fn no_prompt_wins_over_a_pin_file() {
    let mock = Mock::start(Plan { credentials: Credentials::Miss("unused".to_owned()), ..Plan::default() });
    let file = PinFile::new(&mock, "123456");
    let arguments = ["--no-prompt", "--pin-file", file.path(), "credentials", "prod-root"];
    failed(&run(&mock, &arguments), 4, "--no-prompt forbids");
    assert_eq!(mock.calls(), ["GetCredentials"]);
}

#[test]
fn a_pin_file_serves_the_daemon_and_the_touch_is_explained() {
    let touch = Ask::Touch { token: "t1", text: "unlock\x1b[2J the vault", waits: true };
    let mock = Mock::start(Plan { asks: vec![pin(8, false), touch], ..Plan::default() });
    let file = PinFile::new(&mock, "123456\n");
    let output = run(&mock, &["unlock", "--pin-file", file.path()]);
    assert_eq!((output.status.code(), out(&output)), (Some(0), ""), "{}", said(&output));
    assert_eq!(mock.events(), ["pin 123456", "touch shown"]);
    assert_eq!(said(&output), "Touch demo key: unlock\u{fffd}[2J the vault\n");
}

#[test]
fn a_token_that_waits_for_no_touch_is_not_said_to() {
    let touch = Ask::Touch { token: "t1", text: "unlock the vault", waits: false };
    let mock = Mock::start(Plan { asks: vec![touch], ..Plan::default() });
    let output = run(&mock, &["unlock"]);
    assert_eq!(said(&output), "Using demo key: unlock the vault\n");
}

#[test]
fn a_text_without_end_is_cut() {
    let text = Box::leak("\x1b<b>\u{202e}".repeat(1 << 18).into_boxed_str());
    let touch = Ask::Touch { token: "t1", text, waits: true };
    let mock = Mock::start(Plan { asks: vec![touch], ..Plan::default() });
    let output = run(&mock, &["unlock"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).starts_with("Touch demo key: \u{fffd}<b>\u{fffd}"), "{}", said(&output));
    assert!(
        said(&output).ends_with("\u{2026}\n") && said(&output).chars().count() < 1000,
        "{}",
        said(&output)
    );
}

#[test]
fn on_a_bus_the_agent_serves_the_daemon_and_nobody_else() {
    let asks =
        vec![Ask::Stranger, pin(8, false), Ask::Touch { token: "t1", text: "unlock the vault", waits: true }];
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
        assert_eq!(status["drill"]["last"], serde_json::Value::Null);
        assert_eq!(status["drill"]["overdue"], true);
        assert_eq!(status["tokens"][0]["virtual"], true);
        assert_eq!(status["tokens"][0]["id"], "t1");
    }
    let output = run(&mock, &["status"]);
    assert!(out(&output).contains("run `rootseal init`"), "{}", out(&output));
    assert!(out(&output).contains("\naudit     a warning\u{fffd}[2J\n"), "{}", out(&output));
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
