//! Which tokens are connected. Asked anew at each use: a token has its thread from when it is first seen until
//! its device is gone.

use super::cards::Cards;
use super::fido::FidoToken;
use super::oath::OathToken;
use super::otp_hmac::OtpHmacToken;
use super::piv::PivToken;
use super::worker::Worker;
use super::{CodeToken, Device, Kind, Token, TokenError, Traits};
use crate::piv::PivError;
use crate::transport::hidraw;
use crate::transport::pcsc::{PcscCard, Reader, ReaderError};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
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
    /// A reader by its name, and which of the card's applications.
    Card(String, Kind),
}

impl Place {
    const fn kind(&self) -> Kind {
        match self {
            Self::HidSocket(_) | Self::Hidraw(_) => Kind::Fido,
            Self::Card(_, kind) => *kind,
        }
    }

    /// What it is called as long as it is there.
    fn id(&self) -> String {
        use std::fmt::Write as _;
        use std::os::unix::ffi::OsStrExt as _;
        let place = match self {
            Self::HidSocket(path) | Self::Hidraw(path) => path.as_os_str().as_bytes(),
            Self::Card(reader, _) => reader.as_bytes(),
        };
        let digest = Sha256::digest(place);
        digest.iter().take(4).fold(format!("{}_", self.kind().name()), |mut id, byte| {
            let _infallible = write!(id, "{byte:02x}");
            id
        })
    }
}

/// What a device says of itself before it is asked.
struct Found<T: ?Sized = dyn Token> {
    product: String,
    serial: String,
    is_virtual: bool,
    open: Box<T>,
}

/// A token that makes one-time codes, connected and answering.
pub type PresentCodes = Present<Worker<dyn CodeToken>>;

/// A token that is connected and answers.
#[derive(Clone, Debug)]
pub struct Present<W = Worker> {
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
    pub worker: W,
}

#[derive(Clone, Debug)]
struct Known<W = Worker> {
    product: String,
    serial: String,
    is_virtual: bool,
    worker: W,
    /// What it said last, for while somebody holds it.
    last: Arc<Mutex<Option<Traits>>>,
    /// Until when it counts as not there, because it did not answer in time.
    silent: Arc<Mutex<Option<Instant>>>,
}

impl<T: ?Sized + Device + 'static> Known<Worker<T>> {
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
    /// None: smart cards are not looked for.
    cards: Option<Cards>,
    known: BTreeMap<Place, Known>,
    codes: BTreeMap<Place, Known<Worker<dyn CodeToken>>>,
}

impl Registry {
    /// A registry that also looks for virtual tokens at `sockets`, and for smart cards where `pcsc` says so.
    pub fn new(sockets: Vec<PathBuf>, pcsc: bool) -> Self {
        Self { sockets, cards: pcsc.then(Cards::default), known: BTreeMap::new(), codes: BTreeMap::new() }
    }

    /// Asks for the readers; to be done before [`Self::look`], and without holding the registry.
    ///
    /// # Errors
    /// There is no PC/SC service, it refuses, or it does not answer in time.
    pub fn readers(&self) -> impl Future<Output = Result<Vec<Reader>, ReaderError>> + use<> {
        let cards = self.cards.clone();
        async move {
            match cards {
                Some(cards) => cards.readers().await,
                None => Ok(Vec::new()),
            }
        }
    }

    /// Looks again at what is plugged in, `readers` among it. Quick: no token is asked anything yet.
    pub fn look(&mut self, readers: &[Reader]) -> Look {
        let found = self.found(readers);
        renew(&mut self.known, found);
        renew(&mut self.codes, found_codes(readers));
        Look { tokens: self.known.clone(), codes: self.codes.clone() }
    }

    /// One paragraph for each kind of place.
    fn found(&self, readers: &[Reader]) -> BTreeMap<Place, Found> {
        let mut found: BTreeMap<_, Found> = BTreeMap::new();
        for path in self.sockets.iter().cloned() {
            let device = Found::<dyn Token> {
                product: "virtual token".to_owned(),
                serial: String::new(),
                is_virtual: true,
                open: Box::new(FidoToken::at_socket(path.clone())),
            };
            found.insert(Place::HidSocket(path), device);
        }
        for hid in hidraw::fido_devices().unwrap_or_default() {
            let device = Found::<dyn Token> {
                product: hid.product.unwrap_or_else(|| "FIDO2 token".to_owned()),
                serial: hid.serial.unwrap_or_default(),
                is_virtual: false,
                open: Box::new(FidoToken::at_hidraw(hid.path.clone())),
            };
            found.insert(Place::Hidraw(hid.path), device);
        }
        for reader in readers.iter().filter(|reader| reader.atr().is_some()) {
            for kind in [Kind::Piv, Kind::OtpHmac] {
                let at = reader.clone();
                let connect = move || Ok(Box::new(PcscCard::new(&at)) as Box<dyn crate::channel::Card>);
                let device = Found::<dyn Token> {
                    product: reader.name(),
                    serial: String::new(),
                    is_virtual: reader.is_virtual(),
                    open: match kind {
                        Kind::OtpHmac => Box::new(OtpHmacToken::new(connect)),
                        Kind::Fido | Kind::Piv | Kind::Oath => Box::new(PivToken::new(connect)),
                    },
                };
                found.insert(Place::Card(reader.name(), kind), device);
            }
        }
        found
    }
}

/// The OATH applications of the cards. The room's thread is started only for those that are new.
fn found_codes(readers: &[Reader]) -> BTreeMap<Place, Found<dyn CodeToken>> {
    let with_cards = readers.iter().filter(|reader| reader.atr().is_some());
    let found = with_cards.map(|reader| {
        let at = reader.clone();
        let connect = move || Ok(Box::new(PcscCard::new(&at)) as Box<dyn crate::channel::Card>);
        let open: Box<dyn CodeToken> = Box::new(OathToken::new(connect));
        let (product, is_virtual) = (reader.name(), reader.is_virtual());
        (Place::Card(reader.name(), Kind::Oath), Found { product, serial: String::new(), is_virtual, open })
    });
    found.collect()
}

/// Whether an id is one of a token that makes one-time codes.
pub fn makes_codes(id: &str) -> bool {
    id.strip_prefix(Kind::Oath.name()).is_some_and(|rest| rest.starts_with('_'))
}

/// Forgets what is gone, and gives a thread to what is new.
fn renew<T: ?Sized + Device + 'static>(
    known: &mut BTreeMap<Place, Known<Worker<T>>>,
    found: BTreeMap<Place, Found<T>>,
) {
    known.retain(|place, _| found.contains_key(place));
    for (place, device) in found {
        let Found { product, serial, is_virtual, open } = device;
        if !known.contains_key(&place)
            && let Ok(worker) = Worker::start(open)
        {
            let (last, silent) = Default::default();
            known.insert(place, Known { product, serial, is_virtual, worker, last, silent });
        }
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
pub struct Look {
    tokens: BTreeMap<Place, Known>,
    codes: BTreeMap<Place, Known<Worker<dyn CodeToken>>>,
}

impl Look {
    /// Those that can be keyslots and answer, in a fixed order, and why the others do not.
    pub async fn present(self, patience: Patient) -> (Vec<Present>, Vec<TokenError>) {
        ask(self.tokens, patience).await
    }

    /// The same, of those that make one-time codes.
    pub async fn codes(self, patience: Patient) -> (Vec<PresentCodes>, Vec<TokenError>) {
        ask(self.codes, patience).await
    }

    /// Both.
    pub async fn all(self, patience: Patient) -> (Vec<Present>, Vec<PresentCodes>) {
        let (tokens, codes) = tokio::join!(ask(self.tokens, patience), ask(self.codes, patience));
        (tokens.0, codes.0)
    }
}

async fn ask<T: ?Sized + Device + 'static>(
    all: BTreeMap<Place, Known<Worker<T>>>,
    patience: Patient,
) -> (Vec<Present<Worker<T>>>, Vec<TokenError>) {
    let mut asked = tokio::task::JoinSet::new();
    for (place, known) in all {
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
            // A card is asked for each application that it may have.
            Ok((_, _, Err(TokenError::Card(PivError::NoApplication(_))))) => {}
            Ok((_, _, Err(error))) => silent.push(error),
            Err(_panicked) => silent.push(TokenError::Gone),
        }
    }
    (present.into_values().collect(), silent)
}

fn describe<W>(place: &Place, known: Known<W>, traits: Traits) -> Present<W> {
    let serial = if known.serial.is_empty() { traits.serial.clone() } else { None };
    Present {
        id: place.id(),
        kind: place.kind(),
        product: known.product,
        serial: serial.unwrap_or(known.serial),
        is_virtual: known.is_virtual,
        traits,
        worker: known.worker,
    }
}
