//! Which tokens are connected. Asked anew at each use: a token has its thread from when it is first seen until
//! its device is gone.

use super::arrivals::Arrivals;
use super::cards::Cards;
use super::fido::FidoToken;
use super::otp_hmac::{OtpHmacToken, Wire as OtpWire};
use super::piv::PivToken;
use super::trouble::{Reason, Trouble, Wire};
use super::worker::Worker;
use super::{Kind, Token, TokenError, Traits};
use crate::piv::PivError;
use crate::transport::features::{self, HidrawReports};
use crate::transport::hidraw;
use crate::transport::pcsc::{PcscCard, Reader, ReaderError};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
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
struct Device {
    /// What people call its place.
    seat: String,
    product: String,
    serial: String,
    is_virtual: bool,
    open: Box<dyn Token>,
}

/// A token that is connected and answers.
#[derive(Clone, Debug)]
pub struct Present {
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
    pub worker: Worker,
}

#[derive(Clone, Debug)]
struct Known {
    seat: String,
    product: String,
    serial: String,
    is_virtual: bool,
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
    /// None: smart cards are not looked for.
    cards: Option<Cards>,
    known: BTreeMap<Place, Known>,
}

impl Registry {
    /// A registry that also looks for virtual tokens at `sockets`, and for smart cards where `pcsc` says so.
    pub fn new(sockets: Vec<PathBuf>, pcsc: bool) -> Self {
        Self { sockets, cards: pcsc.then(Cards::default), known: BTreeMap::new() }
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
        self.known.retain(|place, _| found.contains_key(place));
        for (place, device) in found {
            let Device { seat, product, serial, is_virtual, open } = device;
            if !self.known.contains_key(&place)
                && let Ok(worker) = Worker::start(open)
            {
                let (last, silent) = Default::default();
                self.known.insert(place, Known { seat, product, serial, is_virtual, worker, last, silent });
            }
        }
        let missing =
            self.sockets.iter().filter(|path| !may_exist(path)).map(|path| path.display().to_string());
        troubles.extend(missing.map(|place| Trouble { reason: Reason::SocketMissing, place }));
        Look { known: self.known.clone(), troubles }
    }

    /// One paragraph for each kind of place.
    fn found(&self, readers: &[(String, Reader)]) -> BTreeMap<Place, Device> {
        let mut found = BTreeMap::new();
        for path in self.sockets.iter().filter(|path| may_exist(path)).cloned() {
            let device = Device {
                seat: path.display().to_string(),
                product: "virtual token".to_owned(),
                serial: String::new(),
                is_virtual: true,
                open: Box::new(FidoToken::at_socket(path.clone())),
            };
            found.insert(Place::HidSocket(path), device);
        }
        for hid in hidraw::fido_devices().unwrap_or_default() {
            let device = Device {
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
            let device = Device {
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
                let device = Device {
                    seat: seat.clone(),
                    product: reader.name(),
                    serial: String::new(),
                    is_virtual: reader.is_virtual(),
                    open: match kind {
                        Kind::OtpHmac => Box::new(OtpHmacToken::new(move || connect().map(OtpWire::Card))),
                        Kind::Fido | Kind::Piv => Box::new(PivToken::new(connect)),
                    },
                };
                found.insert(Place::Card(reader.name(), kind), device);
            }
        }
        found
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
    known: BTreeMap<Place, Known>,
    /// Of what is not there to be asked.
    troubles: Vec<Trouble>,
}

impl Look {
    /// Those that answer, in a fixed order, and why the others do not.
    pub async fn present(self, patience: Patient) -> (Vec<Present>, Vec<Trouble>) {
        let mut asked = tokio::task::JoinSet::new();
        for (place, known) in self.known {
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
        let mut troubles = self.troubles;
        // By reader: whether its card has none of the applications that it was asked for.
        let mut foreign: BTreeMap<String, bool> = BTreeMap::new();
        while let Some(joined) = asked.join_next().await {
            let Ok((place, known, answer)) = joined else { continue };
            let lacks = matches!(answer, Err(TokenError::Card(PivError::NoApplication(_))));
            if let Place::Card(..) = place {
                *foreign.entry(known.seat.clone()).or_insert(true) &= lacks;
            }
            match answer {
                Ok(traits) => {
                    let token = describe(&place, known, traits);
                    present.insert(place, token);
                }
                // A card is asked for each application that it may have.
                Err(_) if lacks => {}
                Err(error) => troubles.extend(Trouble::of_token(&error, place.wire(), known.seat)),
            }
        }
        // A YubiKey may be there by two wires: the one without a transaction is for want of the other.
        let by_card: BTreeSet<String> = present
            .iter()
            .filter(|(place, token)| {
                matches!(place, Place::Card(_, Kind::OtpHmac)) && !token.serial.is_empty()
            })
            .map(|(_, token)| token.serial.clone())
            .collect();
        present
            .retain(|place, token| !matches!(place, Place::Keyboard(_)) || !by_card.contains(&token.serial));
        let foreign = foreign.into_iter().filter(|(_, foreign)| *foreign);
        troubles.extend(foreign.map(|(place, _)| Trouble { reason: Reason::ForeignCard, place }));
        let troubles = Trouble::settle(troubles, !present.is_empty());
        (by_serial(present.into_values().collect()), troubles)
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

/// Names those by their serial numbers that have one of their own: where several claim the same, each is named by its
/// place, so that none of them can pass for another.
fn by_serial(mut present: Vec<Present>) -> Vec<Present> {
    let mut claims: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    for token in &present {
        let claimed = claims.entry((token.kind, token.serial.clone())).or_default();
        *claimed = claimed.saturating_add(1);
    }
    for token in &mut present {
        let alone = claims.get(&(token.kind, token.serial.clone())) == Some(&1);
        if alone && !token.serial.is_empty() {
            token.id = id(token.kind, &[b"serial\0", token.serial.as_bytes()]);
        }
    }
    present
}

fn describe(place: &Place, known: Known, traits: Traits) -> Present {
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

#[cfg(test)]
mod tests;
