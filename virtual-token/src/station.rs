//! The socket that the token is plugged into, pulled out of, and plugged into again.

use std::{io, path::PathBuf};

use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    session::{self, Ending},
    token::{Token, complain},
    usb, vpcd,
    wire::{Listener, Wire},
};

/// Where the token appears.
#[derive(Clone, Debug)]
pub enum Port {
    /// A `SOCK_SEQPACKET` socket with this path.
    Socket(PathBuf),
    /// A card in the virtual reader that listens there.
    Vpcd(String),
    /// A HID device of the kernel's.
    Uhid {
        /// The product name.
        label: String,
        /// The serial number.
        serial: u32,
    },
    /// A USB device of the kernel's, with the FIDO application and the card.
    Usb {
        /// The product name.
        label: String,
        /// The serial number.
        serial: u32,
    },
}

impl Port {
    /// Whether it shows the FIDO application.
    pub fn has_hid(&self) -> bool {
        !matches!(self, Self::Vpcd(_))
    }

    /// Whether it shows the card.
    pub fn has_card(&self) -> bool {
        matches!(self, Self::Vpcd(_) | Self::Usb { .. })
    }
}

/// What to do with the plug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Plug the token in.
    Plug,
    /// Pull it out: connections end, and it loses what is not in its flash.
    Unplug,
    /// Pull it out for good.
    Quit,
}

/// Where to say that a move is made.
type Done = oneshot::Sender<io::Result<()>>;

/// A move, and where to say that it is made.
pub type Order = (Move, Done);

/// The side of the station that gives orders.
#[derive(Clone, Debug)]
pub struct Hand {
    orders: mpsc::Sender<Order>,
    plugged: watch::Receiver<bool>,
}

impl Hand {
    /// Makes a move and waits until it is made. To plug a plugged token, or pull an unplugged one, is no error.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn make(&self, order: Move) -> io::Result<()> {
        let (done, made) = oneshot::channel();
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the token is shutting down");
        self.orders.send((order, done)).await.map_err(|_dropped| gone())?;
        made.await.map_err(|_dropped| gone())?
    }

    /// Whether the token is plugged in.
    pub fn is_plugged(&self) -> bool {
        *self.plugged.borrow()
    }
}

/// The station itself.
#[derive(Debug)]
pub struct Station {
    orders: mpsc::Receiver<Order>,
    plugged: watch::Sender<bool>,
}

/// A station with nothing plugged in, and the hand for it.
pub fn station() -> (Station, Hand) {
    let (sender, orders) = mpsc::channel(1);
    let (plugged, receiver) = watch::channel(false);
    (Station { orders, plugged }, Hand { orders: sender, plugged: receiver })
}

enum Socket {
    Listener(Listener),
    Device(Option<Wire>),
    Reader { address: String, stream: Option<TcpStream> },
    Usb(Option<usb::Device>),
}

/// A client, and what it speaks.
enum Client {
    Hid(Wire),
    Reader { address: String, stream: TcpStream },
    Usb(usb::Device),
}

/// How the token came out of its port.
enum Out {
    /// Somebody wanted it.
    Ordered(Order),
    /// It vanished by itself.
    Vanished,
    /// Its power failed for a moment.
    Reset,
}

impl Socket {
    async fn open(port: &Port) -> io::Result<Self> {
        match port {
            Port::Socket(path) => Listener::bind(path).map(Self::Listener).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
            }),
            Port::Vpcd(address) => {
                let stream = Some(vpcd::connect(address).await?);
                Ok(Self::Reader { address: address.clone(), stream })
            }
            Port::Uhid { label, serial } => Ok(Self::Device(Some(Wire::uhid(label, *serial).await?))),
            Port::Usb { label, serial } => Ok(Self::Usb(Some(usb::Device::attach(label, *serial)?))),
        }
    }

    /// The next client; a kernel device and a reader are one for all programs.
    async fn next(&mut self) -> io::Result<Client> {
        match self {
            Self::Listener(listener) => listener.accept().await.map(Client::Hid),
            Self::Device(wire) => match wire.take() {
                Some(wire) => Ok(Client::Hid(wire)),
                None => std::future::pending().await,
            },
            Self::Reader { address, stream } => match stream.take() {
                Some(stream) => Ok(Client::Reader { address: address.clone(), stream }),
                None => std::future::pending().await,
            },
            Self::Usb(device) => match device.take() {
                Some(device) => Ok(Client::Usb(device)),
                None => std::future::pending().await,
            },
        }
    }
}

impl Station {
    /// Serves until somebody says [`Move::Quit`].
    pub async fn run(mut self, token: Token, port: Port) {
        while let Some((order, done)) = self.orders.recv().await {
            match order {
                Move::Plug => {
                    if self.plug(&token, &port, done).await == Some(Move::Quit) {
                        return;
                    }
                }
                Move::Unplug => {
                    done.send(Ok(())).ok();
                }
                Move::Quit => {
                    done.send(Ok(())).ok();
                    return;
                }
            }
        }
    }

    /// Plugs the token in and serves until it is out again, by which order if by any.
    async fn plug(&mut self, token: &Token, port: &Port, done: Done) -> Option<Move> {
        let mut done = Some(done);
        loop {
            let socket = match Socket::open(port).await {
                Ok(socket) => socket,
                Err(error) => {
                    match done {
                        Some(done) => done.send(Err(error)).unwrap_or_default(),
                        None => complain(&error),
                    }
                    return None;
                }
            };
            self.plugged.send_replace(true);
            if let Some(done) = done.take() {
                done.send(Ok(())).ok();
            }
            match self.plugged_in(token, socket).await {
                Out::Ordered((order, done)) => {
                    done.send(Ok(())).ok();
                    return Some(order);
                }
                Out::Vanished => return None,
                Out::Reset => {}
            }
        }
    }

    async fn plugged_in(&mut self, token: &Token, mut socket: Socket) -> Out {
        let (plug, plugged) = watch::channel(());
        let mut sessions = JoinSet::new();
        let (out, ended) = loop {
            tokio::select! {
                client = socket.next() => match client {
                    Ok(Client::Hid(wire)) => {
                        sessions.spawn(session::serve(token.clone(), wire, plugged.clone()));
                    }
                    Ok(Client::Reader { address, stream }) => {
                        sessions.spawn(vpcd::serve(token.clone(), stream, address, plugged.clone()));
                    }
                    Ok(Client::Usb(device)) => match device.open(token.otp_status(), plugged.clone()) {
                        Ok((usb::Interfaces { keyboard, hid, card }, device)) => {
                            sessions.spawn(device);
                            sessions.spawn(usb::serve_keyboard(token.clone(), keyboard, plugged.clone()));
                            sessions.spawn(session::serve(token.clone(), hid, plugged.clone()));
                            sessions.spawn(usb::serve_reader(token.clone(), card, plugged.clone()));
                        }
                        Err(error) => complain(&error),
                    },
                    Err(error) => complain(&error),
                },
                Some(Ok(ended)) = sessions.join_next() => match ended.ending {
                    Ending::Vanished => break (Out::Vanished, Some(ended)),
                    Ending::Reset => break (Out::Reset, Some(ended)),
                    Ending::Gone => {}
                },
                Some((order, done)) = self.orders.recv() => match order {
                    Move::Plug => {
                        done.send(Ok(())).ok();
                    }
                    Move::Unplug | Move::Quit => break (Out::Ordered((order, done)), None),
                },
            }
        };
        // Whoever learns it from a connection may ask at once.
        self.plugged.send_replace(false);
        drop(ended);
        drop(socket);
        drop(plug);
        while sessions.join_next().await.is_some() {}
        token.power_cycle().await;
        out
    }
}
