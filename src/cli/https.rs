//! Sends what the daemon signed and brings the answer. The only place of rootseal with a network.

use crate::aws::parse_http_date;
use std::io::{ErrorKind, Read as _};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, http};
use zeroize::{Zeroize, Zeroizing};

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);
/// STS answers with a few kilobytes.
const LONGEST_REPLY: u64 = 256 * 1024;

/// What `Operation1.Next` hands out: good for some minutes to whoever holds it, so wiped when it goes.
#[derive(serde::Deserialize)]
pub(super) struct SignedRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Drop for SignedRequest {
    fn drop(&mut self) {
        self.body.zeroize();
        for (_, value) in &mut self.headers {
            value.zeroize();
        }
    }
}

/// What came back; its body holds a session.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum HttpsError {
    #[error("cannot reach {host}: {why}; check the network and, if you use one, HTTPS_PROXY")]
    Unreachable { host: String, why: String },
    #[error(
        "no safe connection to {host}: {why}; check the system's certificates, or name your own with AWS_CA_BUNDLE"
    )]
    Tls { host: String, why: String },
    #[error("{host} may not be talked to over plain http: only an endpoint on this machine may")]
    Plain { host: String },
    #[error("the certificates in AWS_CA_BUNDLE cannot be used: {0}")]
    Bundle(String),
}

impl HttpsError {
    /// What `Operation1.Abort` is told.
    pub(super) fn abort_reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Plain { .. } => "unreachable",
            Self::Tls { .. } | Self::Bundle(_) => "tls",
        }
    }
}

/// Sends the request exactly as it was signed. An answer with an error status is an answer: the daemon reads it.
pub(super) fn send(request: &SignedRequest) -> Result<Answer, HttpsError> {
    let host = host(&request.url);
    let unreachable = |why: &str| HttpsError::Unreachable { host: host.clone(), why: why.to_owned() };
    let url: http::Uri = request.url.parse().map_err(|_no_url| unreachable("it is not a URL"))?;
    let plain = url.scheme() != Some(&http::uri::Scheme::HTTPS);
    if plain && !is_loopback(&url) {
        return Err(HttpsError::Plain { host });
    }
    let mut outgoing = http::Request::builder().method(request.method.as_str()).uri(url);
    for (name, value) in &request.headers {
        outgoing = outgoing.header(name, value);
    }
    let outgoing = outgoing
        .body(request.body.as_bytes())
        .map_err(|_malformed| unreachable("the signed request is malformed"))?;
    let failed = |error: ureq::Error| classify(host.clone(), &error);
    let response = agent(plain)?.run(outgoing).map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    let mut reader = response.into_body().into_with_config().limit(LONGEST_REPLY).reader();
    reader.read_to_end(&mut body).map_err(|error| failed(error.into()))?;
    Ok(Answer { status, body })
}

/// What time the server at `url` says it is: seconds since 1970. Plain http on loopback only: a time is believed, too.
pub(super) fn date(url: &str) -> Result<u64, HttpsError> {
    let host = host(url);
    let unreachable = |why: &str| HttpsError::Unreachable { host: host.clone(), why: why.to_owned() };
    let url: http::Uri = url.parse().map_err(|_no_url| unreachable("it is not a URL"))?;
    let plain = url.scheme() != Some(&http::uri::Scheme::HTTPS);
    if plain && !is_loopback(&url) {
        return Err(HttpsError::Plain { host });
    }
    let response = agent(plain)?.head(url).call().map_err(|error| classify(host.clone(), &error))?;
    let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    date.and_then(parse_http_date).ok_or_else(|| unreachable("its answer has no date"))
}

fn agent(plain: bool) -> Result<Agent, HttpsError> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(WHOLE))
        .user_agent(ureq::config::AutoHeaderValue::None)
        .accept(ureq::config::AutoHeaderValue::None)
        .accept_encoding(ureq::config::AutoHeaderValue::None);
    let config = if plain {
        // On loopback a proxy could only listen in.
        config.proxy(None)
    } else {
        // Without roots of its own compiled in: the store is the system's or the user's.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(roots()?).unversioned_rustls_crypto_provider(provider);
        config.proxy(ureq::Proxy::try_from_env()).tls_config(tls.build())
    };
    Ok(config.build().new_agent())
}

/// `AWS_CA_BUNDLE`, as every AWS tool reads it; else the system's store.
fn roots() -> Result<RootCerts, HttpsError> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let pem = std::fs::read(path).map_err(|error| HttpsError::Bundle(error.to_string()))?;
    bundle(&pem)
}

fn bundle(pem: &[u8]) -> Result<RootCerts, HttpsError> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| HttpsError::Bundle(error.to_string()))?
        {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(HttpsError::Bundle("there is none in the file".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn host(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    let authority = uri.as_ref().and_then(|uri| uri.authority());
    // Without a user name and password that might stand before it.
    authority.map_or_else(
        || "the endpoint".to_owned(),
        |authority| {
            let text = authority.as_str();
            text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned()
        },
    )
}

fn is_loopback(url: &http::Uri) -> bool {
    let Some(host) = url.host().filter(|_| url.scheme() == Some(&http::uri::Scheme::HTTP)) else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What goes wrong on the way, for a person.
const REASONS: [(ErrorKind, &str); 8] = [
    (ErrorKind::ConnectionRefused, "connection refused"),
    (ErrorKind::TimedOut, "no answer in time"),
    (ErrorKind::WouldBlock, "no answer in time"),
    (ErrorKind::NetworkUnreachable, "no route"),
    (ErrorKind::HostUnreachable, "no route"),
    (ErrorKind::UnexpectedEof, "the connection was cut"),
    (ErrorKind::ConnectionReset, "the connection was cut"),
    (ErrorKind::BrokenPipe, "the connection was cut"),
];

fn classify(host: String, error: &ureq::Error) -> HttpsError {
    use ureq::Error as E;
    if matches!(error, E::Rustls(_) | E::Tls(_) | E::TlsRequired | E::Pem(_)) {
        return HttpsError::Tls { host, why: error.to_string() };
    }
    let why = if let E::Io(io) = error {
        if io.kind() == ErrorKind::InvalidData {
            // What rustls has to say about a handshake comes as the source of an error of this kind.
            return HttpsError::Tls { host, why: io.to_string() };
        }
        let known = REASONS.iter().find(|(kind, _)| *kind == io.kind());
        known.map_or_else(|| io.kind().to_string(), |(_, why)| (*why).to_owned())
    } else if matches!(error, E::HostNotFound) {
        "no such host (DNS)".to_owned()
    } else if matches!(error, E::Timeout(_)) {
        "no answer in time".to_owned()
    } else if matches!(error, E::ConnectProxyFailed(_) | E::InvalidProxyUrl) {
        "the proxy refused".to_owned()
    } else if matches!(error, E::BodyExceedsLimit(_) | E::LargeResponseHeader(..)) {
        "the answer is too long".to_owned()
    } else if matches!(error, E::ConnectionFailed) {
        "connection failed".to_owned()
    } else {
        "the answer is not HTTP".to_owned()
    };
    HttpsError::Unreachable { host, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;

    fn request(url: &str) -> SignedRequest {
        SignedRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![
                ("host".to_owned(), "sts.example".to_owned()),
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("authorization".to_owned(), "AWS4-HMAC-SHA256 x".to_owned()),
            ],
            body: "Action=GetSessionToken".to_owned(),
        }
    }

    /// Answers one connection with `reply` and gives what was asked.
    fn serve(reply: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut piece = [0; 1024];
            while !asked.ends_with(b"GetSessionToken") {
                let count = stream.read(&mut piece).unwrap();
                assert!(count > 0, "the request came whole");
                asked.extend_from_slice(&piece[..count]);
            }
            let _cut = stream.write_all(reply);
            String::from_utf8(asked).unwrap()
        });
        (url, server)
    }

    #[test]
    fn the_request_goes_out_as_signed_and_an_error_status_comes_back_as_it_is() {
        let (url, server) =
            serve(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops");
        let answer = send(&request(&url)).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (403, b"oops".as_slice()));
        let asked = server.join().unwrap().to_lowercase();
        assert!(asked.starts_with("post / http/1.1\r\n"), "{asked}");
        assert_eq!(asked.matches("host: ").count(), 1, "{asked}");
        assert!(asked.contains("host: sts.example\r\n"), "{asked}");
        assert!(asked.contains("content-length: 22\r\n"), "{asked}");
        for added in ["user-agent", "accept"] {
            assert!(!asked.contains(added), "{asked}");
        }
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let (url, server) = serve(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
        assert_eq!(send(&request(&url)).unwrap().status, 302);
        server.join().unwrap();
    }

    #[test]
    fn an_answer_without_end_is_cut_off() {
        const TOO_LONG: &[u8] = &{
            let mut reply = [b'x'; 300 * 1024];
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            let mut at = 0;
            while at < head.len() {
                reply[at] = head[at];
                at += 1;
            }
            reply
        };
        let (url, server) = serve(TOO_LONG);
        let error = send(&request(&url)).err().unwrap();
        assert!(error.to_string().contains("too long"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn nobody_listening_is_said_with_the_host() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = send(&request(&format!("http://127.0.0.1:{port}/"))).err().unwrap();
        assert_eq!(error.abort_reason(), "unreachable");
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}: connection refused")), "{error}");
    }

    #[test]
    fn a_server_that_speaks_no_tls_is_a_tls_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _cut = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let error = send(&request(&url)).err().unwrap();
        server.join().unwrap();
        assert_eq!(error.abort_reason(), "tls", "{error}");
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in
            ["http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/", "ftp://127.0.0.1/"]
        {
            assert!(matches!(send(&request(url)), Err(HttpsError::Plain { .. })), "{url}");
        }
        for url in ["http://localhost:1/", "http://127.9.9.9/", "http://[::1]:1/"] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
    }

    #[test]
    fn a_bundle_without_a_certificate_is_refused() {
        assert!(matches!(bundle(b"nothing"), Err(HttpsError::Bundle(_))));
    }
}
