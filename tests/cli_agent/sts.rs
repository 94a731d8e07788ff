//! Sessions that have to be fetched from AWS.

use crate::mock::{Credentials, Mock, Plan};
use crate::{PinFile, failed, out, pin, rootseal, run, said};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

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
    assert_eq!(mock.calls(), ["GetCredentials", "RegisterOwnAgent", "Next", "Finish"]);
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
