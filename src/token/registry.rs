//! Which tokens are connected. Asked anew at each use: a token has its thread from when it is first seen until
//! its device is gone.

use super::fido::FidoToken;
use super::worker::Worker;
use super::{Kind, Token, TokenError, Traits};
use crate::transport::hidraw;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a token may take to say hello before it counts as not there.
const HELLO: Duration = Duration::from_secs(3);
/// For how long one that did not answer is left alone, so that not everybody waits for it.
const HUNG: Duration = Duration::from_secs(10);

/// Where a token hangs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    HidSocket(PathBuf),
    Hidraw(PathBuf),
}

/// A token that is connected and answers.
#[derive(Clone, Debug)]
pub struct Present {
    /// Its id while it is connected: letters, digits and `_`.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What it calls itself.
    pub product: String,
    /// Its serial number; empty where it tells none.
    pub serial: String,
    /// Whether it is software, which only the configuration can bring in.
    pub is_virtual: bool,
    /// What it said of itself.
    pub traits: Traits,
    /// Its thread.
    pub worker: Worker,
}

#[derive(Clone, Debug)]
struct Known {
    product: String,
    serial: String,
    worker: Worker,
    /// What it said last, for while somebody holds it.
    last: Arc<Mutex<Option<Traits>>>,
    /// Until when it counts as not there, because it did not answer in time.
    silent: Arc<Mutex<Option<Instant>>>,
}

impl Known {
    /// Whether asking it now would only mean waiting.
    fn is_hopeless(&self, patience: Patient) -> bool {
        self.worker.is_held() || (patience == Patient::No && self.hung())
    }

    fn hung(&self) -> bool {
        self.silent.lock().is_ok_and(|silent| silent.is_some_and(|until| Instant::now() < until))
    }

    fn remember(&self, answer: &Result<Traits, TokenError>) {
        if let Ok(mut last) = self.last.lock() {
            *last = answer.as_ref().ok().cloned();
        }
        if let Ok(mut silent) = self.silent.lock() {
            let hung = matches!(answer, Err(TokenError::TimedOut));
            *silent = if hung { Instant::now().checked_add(HUNG) } else { None };
        }
    }
}

/// All tokens of this machine, and the virtual ones that the configuration names.
#[derive(Debug, Default)]
pub struct Registry {
    sockets: Vec<PathBuf>,
    known: BTreeMap<Place, Known>,
}

impl Registry {
    /// A registry that also looks for virtual tokens at `sockets`.
    pub fn new(sockets: Vec<PathBuf>) -> Self {
        Self { sockets, known: BTreeMap::new() }
    }

    /// Looks again at what is plugged in. Quick: no token is asked anything yet.
    pub fn look(&mut self) -> Look {
        let mut found = BTreeMap::new();
        for socket in &self.sockets {
            found.insert(Place::HidSocket(socket.clone()), ("virtual token".to_owned(), String::new()));
        }
        for device in hidraw::fido_devices().unwrap_or_default() {
            let product = device.product.unwrap_or_else(|| "FIDO2 token".to_owned());
            found.insert(Place::Hidraw(device.path), (product, device.serial.unwrap_or_default()));
        }
        self.known.retain(|place, _| found.contains_key(place));
        for (place, (product, serial)) in found {
            if !self.known.contains_key(&place)
                && let Ok(worker) = Worker::start(open(&place))
            {
                self.known.insert(
                    place,
                    Known { product, serial, worker, last: Arc::default(), silent: Arc::default() },
                );
            }
        }
        Look(self.known.clone())
    }
}

/// Whether to ask also those that did not answer a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patient {
    /// A token is needed: one that hung may be well again.
    Yes,
    /// It is for a list: nobody should wait for one that hangs.
    No,
}

/// What was plugged in at one moment.
#[derive(Debug)]
pub struct Look(BTreeMap<Place, Known>);

impl Look {
    /// Those that answer, in a fixed order, and why the others do not.
    pub async fn present(self, patience: Patient) -> (Vec<Present>, Vec<TokenError>) {
        let mut asked = tokio::task::JoinSet::new();
        for (place, known) in self.0 {
            asked.spawn(async move {
                let last = known.last.lock().ok().and_then(|last| last.clone());
                if known.is_hopeless(patience) {
                    let answer = last.ok_or(TokenError::TimedOut);
                    return (place, known, answer);
                }
                let answer = known
                    .worker
                    .run(HELLO, |token, patience| {
                        let traits = token.traits(patience);
                        token.release();
                        traits
                    })
                    .await;
                known.remember(&answer);
                (place, known, answer)
            });
        }
        let mut present = BTreeMap::new();
        let mut silent = Vec::new();
        while let Some(joined) = asked.join_next().await {
            match joined {
                Ok((place, known, Ok(traits))) => {
                    let token = describe(&place, known, traits);
                    present.insert(place, token);
                }
                Ok((_, _, Err(error))) => silent.push(error),
                Err(_panicked) => silent.push(TokenError::Gone),
            }
        }
        (present.into_values().collect(), silent)
    }
}

/// One line for each kind of token.
fn open(place: &Place) -> Box<dyn Token> {
    match place {
        Place::HidSocket(path) => Box::new(FidoToken::at_socket(path.clone())),
        Place::Hidraw(path) => Box::new(FidoToken::at_hidraw(path.clone())),
    }
}

fn describe(place: &Place, known: Known, traits: Traits) -> Present {
    let (path, is_virtual): (&Path, bool) = match place {
        Place::HidSocket(path) => (path, true),
        Place::Hidraw(path) => (path, false),
    };
    Present {
        id: id(path),
        kind: Kind::Fido,
        product: known.product,
        serial: known.serial,
        is_virtual,
        traits,
        worker: known.worker,
    }
}

fn id(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    digest.iter().take(4).fold("fido_".to_owned(), |mut id, byte| {
        let _infallible = write!(id, "{byte:02x}");
        id
    })
}
