//! Our client, over a socket, against `rootseal-virtual-token`: a real authenticator that knows nothing of us.
//!
//! The program is the one that `ROOTSEAL_VIRTUAL_TOKEN` names, else the one built next to this test.
#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rootseal::channel::{Cancel, ChannelError, Patience};
use rootseal::ctap::{
    Client, Credential, CtapError, HmacOutput, HmacRequest, KeepAlive, NewCredential, Permission, PinUvToken,
    Probe, Status, Wait,
};
use rootseal::secret::{Pin, TokenSecret};
use rootseal::transport::socket::SocketChannel;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RP: &str = "rootseal.test";
const PIN: &str = "123456";

/// A running token in a directory of its own; both go when the value is dropped.
struct Token {
    process: Child,
    folder: PathBuf,
}

impl Token {
    fn start(name: &str, touch: &str, pin: Option<&str>) -> Self {
        let folder = std::env::temp_dir().join(format!("rootseal-ctap-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // The token reports on descriptor 3; its standard output is nobody's.
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 3>&1 >&2"#, "sh"]).arg(program());
        command.arg("--socket").arg(folder.join("token")).arg("--state").arg(folder.join("state"));
        command.arg("--control").arg(folder.join("control")).args(["--touch", touch, "--ready-fd", "3"]);
        if let Some(pin) = pin {
            command.args(["--pin", pin]);
        }
        let mut process = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut ready = [0; 8];
        process.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"READY=1\n");
        Self { process, folder }
    }

    fn channel(&self) -> SocketChannel {
        SocketChannel::connect(self.folder.join("token")).unwrap()
    }

    fn client(&self) -> Client<SocketChannel> {
        Client::connect(self.channel(), &patience()).unwrap()
    }

    /// Gives the hands that serve the token an order, and waits until it is carried out.
    fn order(&self, order: &str) {
        carry_out(&self.folder, order);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

fn carry_out(folder: &Path, order: &str) {
    let mut control = UnixStream::connect(folder.join("control")).unwrap();
    writeln!(control, "{order}").unwrap();
    let mut answer = String::new();
    BufReader::new(control).read_line(&mut answer).unwrap();
    assert_eq!(answer.trim(), "ok", "{order}");
}

fn program() -> PathBuf {
    let named = std::env::var_os("ROOTSEAL_VIRTUAL_TOKEN").map(PathBuf::from);
    // target/<profile>/deps/<this test>
    let test = std::env::current_exe().unwrap();
    let program = named.unwrap_or_else(|| test.ancestors().nth(2).unwrap().join("rootseal-virtual-token"));
    assert!(program.is_file(), "{} is missing: cargo build -p rootseal-virtual-token", program.display());
    program
}

fn patience() -> Patience {
    Patience { deadline: Instant::now() + Duration::from_mins(1), cancel: Cancel::new().unwrap() }
}

fn pin_token(
    client: &mut Client<SocketChannel>,
    pin: &str,
    permission: Permission,
) -> Result<PinUvToken, CtapError> {
    client.pin_token(&Pin::copy_from(pin.as_bytes()), permission, RP, &patience())
}

fn make(
    client: &mut Client<SocketChannel>,
    auth: Option<&PinUvToken>,
    exclude: &[&[u8]],
    wait: &mut Wait<'_>,
) -> Result<Credential, CtapError> {
    let new = NewCredential {
        rp_id: RP,
        rp_name: "rootseal",
        user_id: b"user",
        user_name: "slot",
        client_data_hash: &[3; 32],
        exclude,
    };
    client.make_credential(&new, auth, wait)
}

fn ask(
    client: &mut Client<SocketChannel>,
    credential: &Credential,
    salts: (&[u8; 32], Option<&[u8; 32]>),
    auth: Option<&PinUvToken>,
    wait: &mut Wait<'_>,
) -> Result<HmacOutput, CtapError> {
    let (salt, second_salt) = salts;
    let request = HmacRequest {
        rp_id: RP,
        credential_id: &credential.id,
        public_key: &credential.public_key,
        salt,
        second_salt,
        client_data_hash: &[3; 32],
    };
    client.hmac_secret(&request, auth, wait)
}

/// A wait of a minute that hears nothing.
macro_rules! wait {
    () => {
        &mut Wait { patience: &patience(), on_keepalive: &mut |_| {} }
    };
}

fn bytes(secret: &TokenSecret) -> Vec<u8> {
    secret.with(<[u8]>::to_vec)
}

/// A credential made with the PIN.
fn enrolled(client: &mut Client<SocketChannel>) -> Credential {
    let auth = pin_token(client, PIN, Permission::MakeCredential).unwrap();
    make(client, Some(&auth), &[], wait!()).unwrap()
}

#[test]
fn secrets_are_stable_and_differ_by_salt_and_verification() {
    let token = Token::start("stable", "auto", Some(PIN));
    let mut client = token.client();
    let credential = enrolled(&mut client);
    assert_eq!(credential.aaguid, client.info().aaguid);
    let (one, two) = (&[1; 32], &[2; 32]);
    let auth = pin_token(&mut client, PIN, Permission::GetAssertion).unwrap();
    let both = ask(&mut client, &credential, (one, Some(two)), Some(&auth), wait!()).unwrap();
    assert!(both.user_verified);

    // Through a second connection, as after a restart.
    let mut client = token.client();
    let auth = pin_token(&mut client, PIN, Permission::GetAssertion).unwrap();
    let again = ask(&mut client, &credential, (two, None), Some(&auth), wait!()).unwrap();
    assert!(again.second.is_none());
    assert_eq!(bytes(&again.first), bytes(&both.second.unwrap()));
    assert_ne!(bytes(&again.first), bytes(&both.first));
    let unverified = ask(&mut client, &credential, (two, None), None, wait!()).unwrap();
    assert!(!unverified.user_verified);
    assert_ne!(bytes(&unverified.first), bytes(&again.first));
}

#[test]
fn a_token_without_a_pin_serves_without_one() {
    let token = Token::start("no-pin", "auto", None);
    let mut client = token.client();
    assert_eq!(client.info().options.client_pin, Some(false));
    let credential = make(&mut client, None, &[], wait!()).unwrap();
    assert!(!ask(&mut client, &credential, (&[1; 32], None), None, wait!()).unwrap().user_verified);
    let refused = pin_token(&mut client, PIN, Permission::GetAssertion).err();
    assert_eq!(refused, Some(Status::PinNotSet.into()));
}

#[test]
fn a_credential_is_found_silently_on_its_own_token_alone() {
    let (ours, other) = (Token::start("ours", "auto", Some(PIN)), Token::start("other", "never", Some(PIN)));
    let mut client = ours.client();
    let (first, second) = (enrolled(&mut client), enrolled(&mut client));
    let probe = |client: &mut Client<SocketChannel>, rp, id: &[u8], key| {
        client.has_credential(rp, id, key, &patience()).unwrap()
    };
    assert_eq!(probe(&mut client, RP, &first.id, &first.public_key), Probe::Found);
    assert_eq!(probe(&mut client, RP, b"not a credential", &first.public_key), Probe::Absent);
    assert_eq!(probe(&mut client, "other.test", &first.id, &first.public_key), Probe::Absent);
    assert_eq!(probe(&mut client, RP, &first.id, &second.public_key), Probe::Absent);
    assert_eq!(probe(&mut other.client(), RP, &first.id, &first.public_key), Probe::Absent);

    let auth = pin_token(&mut client, PIN, Permission::MakeCredential).unwrap();
    let refused = make(&mut client, Some(&auth), &[&first.id], wait!()).err();
    assert_eq!(refused, Some(Status::CredentialExcluded.into()));
}

#[test]
fn a_secret_signed_with_another_key_is_not_taken() {
    let token = Token::start("signed", "auto", Some(PIN));
    let mut client = token.client();
    let (first, second) = (enrolled(&mut client), enrolled(&mut client));
    let mixed = Credential { public_key: second.public_key, ..first };
    assert_eq!(ask(&mut client, &mixed, (&[1; 32], None), None, wait!()).err(), Some(CtapError::Signature));
}

#[test]
fn wrong_pins_cost_tries_until_the_token_wants_power() {
    let token = Token::start("wrong-pin", "auto", Some(PIN));
    let mut client = token.client();
    let full = client.pin_retries(&patience()).unwrap();
    let mut wrong = || pin_token(&mut client, "654321", Permission::GetAssertion).err().unwrap();
    assert_eq!(wrong(), Status::PinInvalid.into());
    assert_eq!(wrong(), Status::PinInvalid.into());
    assert_eq!(wrong(), Status::PinAuthBlocked.into());
    // This token never says `powerCycleState`.
    assert_eq!(client.pin_retries(&patience()).unwrap().retries, full.retries - 3);
    // Not even the right one, before the power was gone.
    let right = pin_token(&mut client, PIN, Permission::GetAssertion).err();
    assert_eq!(right, Some(Status::PinAuthBlocked.into()));
}

#[test]
fn the_touch_is_announced_and_awaited() {
    let token = Token::start("announced", "auto", Some(PIN));
    let mut client = token.client();
    let credential = enrolled(&mut client);
    token.order("mode demand");
    let mut heard = Vec::new();
    let patience = patience();
    let on_keepalive = &mut |state| {
        if state == KeepAlive::TouchNeeded {
            token.order("touch");
        }
        heard.push(state);
    };
    let wait = &mut Wait { patience: &patience, on_keepalive };
    ask(&mut client, &credential, (&[1; 32], None), None, wait).unwrap();
    assert!(heard.contains(&KeepAlive::TouchNeeded));
}

#[test]
fn a_cancelled_touch_leaves_a_token_that_serves() {
    let token = Token::start("cancelled", "auto", Some(PIN));
    let mut client = token.client();
    let credential = enrolled(&mut client);
    token.order("mode never");
    let patience = patience();
    let cancel = patience.cancel.clone();
    let on_keepalive = &mut |state| {
        if state == KeepAlive::TouchNeeded {
            cancel.cancel();
        }
    };
    let wait = &mut Wait { patience: &patience, on_keepalive };
    let ended = ask(&mut client, &credential, (&[1; 32], None), None, wait).err();
    assert_eq!(ended, Some(ChannelError::Cancelled.into()));
    token.order("mode auto");
    ask(&mut client, &credential, (&[1; 32], None), None, wait!()).unwrap();
}

#[test]
fn a_touch_that_does_not_come_ends_at_the_deadline() {
    let token = Token::start("deadline", "auto", Some(PIN));
    let mut client = token.client();
    let credential = enrolled(&mut client);
    token.order("mode never");
    let soon = Patience { deadline: Instant::now() + Duration::from_millis(300), ..patience() };
    let ended = ask(
        &mut client,
        &credential,
        (&[1; 32], None),
        None,
        &mut Wait { patience: &soon, on_keepalive: &mut |_| {} },
    );
    assert_eq!(ended.err(), Some(ChannelError::TimedOut.into()));
    token.order("mode auto");
    ask(&mut client, &credential, (&[1; 32], None), None, wait!()).unwrap();
}

#[test]
fn another_thread_cancels_a_wait_for_a_silent_token() {
    let token = Token::start("silent", "auto", Some(PIN));
    let mut client = token.client();
    let credential = enrolled(&mut client);
    token.order("mode never");
    let patience = patience();
    let (cancel, folder) = (patience.cancel.clone(), token.folder.clone());
    let canceller = std::thread::spawn(move || {
        carry_out(&folder, "wait-touch");
        cancel.cancel();
    });
    let wait = &mut Wait { patience: &patience, on_keepalive: &mut |_| {} };
    let ended = ask(&mut client, &credential, (&[1; 32], None), None, wait).err();
    assert_eq!(ended, Some(ChannelError::Cancelled.into()));
    canceller.join().unwrap();
}

#[test]
fn a_token_pulled_out_while_it_waits_is_gone() {
    let token = Token::start("pulled", "auto", Some(PIN));
    let mut client = token.client();
    let credential = enrolled(&mut client);
    token.order("mode never");
    let patience = patience();
    let on_keepalive = &mut |state| {
        if state == KeepAlive::TouchNeeded {
            token.order("unplug");
        }
    };
    let wait = &mut Wait { patience: &patience, on_keepalive };
    let ended = ask(&mut client, &credential, (&[1; 32], None), None, wait).err();
    assert_eq!(ended, Some(ChannelError::Gone.into()));
}

#[test]
fn nobody_behind_the_socket_is_a_token_that_is_gone() {
    let nowhere = SocketChannel::connect("/nonexistent/token").err();
    assert_eq!(nowhere, Some(ChannelError::Gone));
}
