//! The socket that the token is plugged into, pulled out of, and plugged into again.

use std::{io, path::PathBuf};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    session,
    token::{Token, complain},
    wire::{Listener, Wire},
};

/// Where the token appears.
#[derive(Clone, Debug)]
pub enum Port {
    /// A `SOCK_SEQPACKET` socket with this path.
    Socket(PathBuf),
    /// A HID device of the kernel's.
    Uhid {
        /// The product name.
        label: String,
        /// The serial number.
        serial: u32,
    },
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

/// A move, and where to say that it is made.
pub type Order = (Move, oneshot::Sender<io::Result<()>>);

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
}

impl Socket {
    async fn open(port: &Port) -> io::Result<Self> {
        match port {
            Port::Socket(path) => Listener::bind(path).map(Self::Listener).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
            }),
            Port::Uhid { label, serial } => Ok(Self::Device(Some(Wire::uhid(label, *serial).await?))),
        }
    }

    /// The next client's wire; a kernel device is one wire for all clients.
    async fn next(&mut self) -> io::Result<Wire> {
        match self {
            Self::Listener(listener) => listener.accept().await,
            Self::Device(wire) => match wire.take() {
                Some(wire) => Ok(wire),
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
                Move::Plug => match Socket::open(&port).await {
                    Ok(socket) => {
                        self.plugged.send_replace(true);
                        done.send(Ok(())).ok();
                        let (order, done) = self.plugged_in(&token, socket).await;
                        self.plugged.send_replace(false);
                        done.send(Ok(())).ok();
                        if order == Move::Quit {
                            return;
                        }
                    }
                    Err(error) => {
                        done.send(Err(error)).ok();
                    }
                },
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

    async fn plugged_in(&mut self, token: &Token, mut socket: Socket) -> Order {
        let (plug, plugged) = watch::channel(());
        let mut sessions = JoinSet::new();
        let order = loop {
            tokio::select! {
                wire = socket.next() => match wire {
                    Ok(wire) => {
                        sessions.spawn(session::serve(token.clone(), wire, plugged.clone()));
                    }
                    Err(error) => complain(&error),
                },
                Some(_) = sessions.join_next() => {}
                Some((order, done)) = self.orders.recv() => match order {
                    Move::Plug => {
                        done.send(Ok(())).ok();
                    }
                    Move::Unplug | Move::Quit => break (order, done),
                },
            }
        };
        drop(socket);
        drop(plug);
        while sessions.join_next().await.is_some() {}
        token.power_cycle().await;
        order
    }
}
