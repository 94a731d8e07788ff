//! Which tokens are connected. Asked anew at each use: a token has its thread from when it is first seen until
//! its device is gone.

mod look;

pub use look::{Look, Patient};

use super::arrivals::Arrivals;
use super::cards::Cards;
use super::fido::FidoToken;
use super::oath::OathToken;
use super::otp_hmac::{OtpHmacToken, Wire as OtpWire};
use super::piv::PivToken;
use super::trouble::{Reason, Trouble, Wire};
use super::worker::Worker;
use super::{CodeToken, Device, Kind, Token, TokenError, Traits};
use crate::transport::features::{self, HidrawReports};
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
    /// A keyboard of Yubico's.
    Keyboard(PathBuf),
    /// A reader by its name, and which of the card's applications.
    Card(String, Kind),
}

impl Place {
    const fn kind(&self) -> Kind {
        match self {
            Self::HidSocket(_) | Self::Hidraw(_) => Kind::Fido,
            Self::Keyboard(_) => Kind::OtpHmac,
            Self::Card(_, kind) => *kind,
        }
    }

    const fn wire(&self) -> Wire {
        match self {
            Self::HidSocket(_) => Wire::Socket,
            Self::Hidraw(_) | Self::Keyboard(_) => Wire::Node,
            Self::Card(..) => Wire::Card,
        }
    }

    /// What it is called as long as it is there, where its serial number does not tell it from others.
    fn id(&self) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let place = match self {
            Self::HidSocket(path) | Self::Hidraw(path) | Self::Keyboard(path) => path.as_os_str().as_bytes(),
            Self::Card(reader, _) => reader.as_bytes(),
        };
        id(self.kind(), &[place])
    }
}

/// Short, and fit for an object's path.
fn id(kind: Kind, parts: &[&[u8]]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(parts.concat());
    digest.iter().take(4).fold(format!("{}_", kind.name()), |mut id, byte| {
        let _infallible = write!(id, "{byte:02x}");
        id
    })
}

/// What a device says of itself before it is asked.
struct Found<T: ?Sized = dyn Token> {
    /// What people call its place.
    seat: String,
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
    /// Its id while it is connected: letters, digits and `_`. The same when it comes again, where its serial number
    /// is its own.
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
    seat: String,
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

    /// Where tokens come and go.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.sockets.clone(), self.cards.clone())
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
    pub fn look(&mut self, readers: Result<Vec<Reader>, ReaderError>) -> Look {
        let mut troubles: Vec<_> =
            readers.as_ref().err().copied().map(Trouble::of_readers).into_iter().collect();
        // Without readers there are other tokens still.
        let (readers, namesakes) = seats(&readers.unwrap_or_default());
        troubles.extend(namesakes.into_iter().map(|place| Trouble { reason: Reason::Namesake, place }));
        let found = self.found(&readers);
        renew(&mut self.known, found);
        renew(&mut self.codes, found_codes(&readers));
        let missing =
            self.sockets.iter().filter(|path| !may_exist(path)).map(|path| path.display().to_string());
        troubles.extend(missing.map(|place| Trouble { reason: Reason::SocketMissing, place }));
        Look { tokens: self.known.clone(), codes: self.codes.clone(), troubles }
    }

    /// One paragraph for each kind of place.
    fn found(&self, readers: &[(String, Reader)]) -> BTreeMap<Place, Found> {
        let mut found: BTreeMap<_, Found> = BTreeMap::new();
        for path in self.sockets.iter().filter(|path| may_exist(path)).cloned() {
            let device = Found::<dyn Token> {
                seat: path.display().to_string(),
                product: "virtual token".to_owned(),
                serial: String::new(),
                is_virtual: true,
                open: Box::new(FidoToken::at_socket(path.clone())),
            };
            found.insert(Place::HidSocket(path), device);
        }
        for hid in hidraw::fido_devices().unwrap_or_default() {
            let device = Found::<dyn Token> {
                seat: hid.path.display().to_string(),
                product: hid.product.unwrap_or_else(|| "FIDO2 token".to_owned()),
                serial: hid.serial.unwrap_or_default(),
                is_virtual: false,
                open: Box::new(FidoToken::at_hidraw(hid.path.clone())),
            };
            found.insert(Place::Hidraw(hid.path), device);
        }
        for hid in features::yubico_keyboards().unwrap_or_default() {
            let path = hid.path.clone();
            let connect = move || Ok(OtpWire::Reports(Box::new(HidrawReports::open(&path)?)));
            let device = Found::<dyn Token> {
                seat: hid.path.display().to_string(),
                product: hid.product.unwrap_or_else(|| "YubiKey".to_owned()),
                serial: String::new(),
                is_virtual: false,
                open: Box::new(OtpHmacToken::new(connect)),
            };
            found.insert(Place::Keyboard(hid.path), device);
        }
        for (seat, reader) in readers {
            for kind in [Kind::Piv, Kind::OtpHmac] {
                let at = reader.clone();
                let connect = move || Ok(Box::new(PcscCard::new(&at)) as Box<dyn crate::channel::Card>);
                let device = Found::<dyn Token> {
                    seat: seat.clone(),
                    product: reader.name(),
                    serial: String::new(),
                    is_virtual: reader.is_virtual(),
                    open: match kind {
                        Kind::OtpHmac => Box::new(OtpHmacToken::new(move || connect().map(OtpWire::Card))),
                        Kind::Fido | Kind::Piv | Kind::Oath => Box::new(PivToken::new(connect)),
                    },
                };
                found.insert(Place::Card(reader.name(), kind), device);
            }
        }
        found
    }
}

/// The OATH applications of the cards.
fn found_codes(readers: &[(String, Reader)]) -> BTreeMap<Place, Found<dyn CodeToken>> {
    let found = readers.iter().map(|(seat, reader)| {
        let at = reader.clone();
        let connect = move || Ok(Box::new(PcscCard::new(&at)) as Box<dyn crate::channel::Card>);
        let open: Box<dyn CodeToken> = Box::new(OathToken::new(connect));
        let (seat, product, is_virtual) = (seat.clone(), reader.name(), reader.is_virtual());
        let device = Found { seat, product, serial: String::new(), is_virtual, open };
        (Place::Card(reader.name(), Kind::Oath), device)
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
        let Found { seat, product, serial, is_virtual, open } = device;
        if !known.contains_key(&place)
            && let Ok(worker) = Worker::start(open)
        {
            let (last, silent) = Default::default();
            known.insert(place, Known { seat, product, serial, is_virtual, worker, last, silent });
        }
    }
}

/// Readers with a card, by what people call their places, and the places of those that cannot be reached: PC/SC knows a
/// reader by its name alone, and with two of one name it means the first.
fn seats(readers: &[Reader]) -> (Vec<(String, Reader)>, Vec<String>) {
    let (mut reached, mut namesakes) = (Vec::new(), Vec::new());
    for (number, reader) in (1..).zip(readers).filter(|(_, reader)| reader.atr().is_some()) {
        let seat = format!("reader {number}");
        match readers.iter().find(|other| other.name() == reader.name()) {
            Some(first) if !std::ptr::eq(first, reader) => namesakes.push(seat),
            _ => reached.push((seat, reader.clone())),
        }
    }
    (reached, namesakes)
}

/// Whether there may be something at a path; one that may not be looked at counts.
fn may_exist(path: &std::path::Path) -> bool {
    path.try_exists().unwrap_or(true)
}

#[cfg(test)]
mod tests;
