//! The device at its wire: what the host controller sends goes to the interfaces, and what they have for the host
//! waits until the host asks.

use std::{collections::VecDeque, io};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};

use super::{
    control,
    descriptor::{CARD_ENDPOINT, Descriptors, HID_ENDPOINT, KEYBOARD_ENDPOINT, KEYBOARD_INTERFACE},
    frames::Status,
    keyboard::{self, Keyboard, News},
    reader,
    urb::{self, Command, HEADER_SIZE, Setup, Transfer},
    vhci,
};
use crate::{
    session::{Ended, Ending},
    token::complain,
    wire::{Arrival, Wire},
};

/// A device that the kernel has been told of.
#[derive(Debug)]
pub struct Device {
    kernel: UnixStream,
    descriptors: Descriptors,
}

/// What serves each interface gets of it.
#[derive(Debug)]
pub(crate) struct Interfaces {
    pub(crate) keyboard: keyboard::Pipes,
    /// FIDO's.
    pub(crate) hid: Wire,
    pub(crate) card: reader::Pipes,
}

/// One endpoint towards the host.
#[derive(Debug, Default)]
struct Inbox {
    /// What is there for the host.
    ready: VecDeque<Vec<u8>>,
    /// Transfers that wait for something: their names, and how much they take.
    asked: VecDeque<(u32, usize)>,
}

impl Inbox {
    /// The answers to those transfers that can be done.
    fn meet(&mut self) -> Vec<Vec<u8>> {
        let mut met = Vec::new();
        while !self.asked.is_empty()
            && let Some(mut data) = self.ready.pop_front()
            && let Some((sequence, room)) = self.asked.pop_front()
        {
            let rest = data.split_off(data.len().min(room));
            if !rest.is_empty() {
                self.ready.push_front(rest);
            }
            met.push(urb::given(sequence, &data));
        }
        met
    }

    /// Takes a transfer back; whether it was waiting.
    fn unlink(&mut self, victim: u32) -> bool {
        let before = self.asked.len();
        self.asked.retain(|(sequence, _)| *sequence != victim);
        self.asked.len() < before
    }
}

/// A message of the host controller, with its data.
type Message = (Command, Vec<u8>);

struct Bus {
    writer: OwnedWriteHalf,
    descriptors: Descriptors,
    keyboard: Keyboard,
    keyboard_in: Inbox,
    hid: Wire,
    hid_in: Inbox,
    /// Whether a program has the HID device open: only then does the host ask for its reports.
    hid_open: bool,
    card: mpsc::UnboundedSender<Vec<u8>>,
    card_in: Inbox,
}

impl Device {
    /// Plugs a device with this product name and serial number into the kernel.
    ///
    /// # Errors
    /// When it has no vhci-hcd, or keeps it from us.
    pub fn attach(product: &str, serial: u32) -> io::Result<Self> {
        let kernel = vhci::attach()?;
        kernel.set_nonblocking(true)?;
        Ok(Self { kernel: UnixStream::from_std(kernel)?, descriptors: Descriptors::new(product, serial) })
    }

    /// The device, taken apart for those who serve it: its interfaces, and the service of the device itself, which runs
    /// until `plugged` loses its sender. The keyboard shows the `status`.
    ///
    /// # Errors
    /// When the system fails.
    pub(crate) fn open(
        self,
        status: watch::Receiver<Option<Status>>,
        plugged: watch::Receiver<()>,
    ) -> io::Result<(Interfaces, impl Future<Output = Ended> + Send + 'static)> {
        let (keyboard, keyboard_end, news) = Keyboard::new(status);
        let (hid, hid_end) = Wire::inside()?;
        let (card, arrivals) = mpsc::unbounded_channel();
        let (answers, card_answers) = mpsc::unbounded_channel();
        let (reader, writer) = self.kernel.into_split();
        let bus = Bus {
            writer,
            descriptors: self.descriptors,
            keyboard,
            keyboard_in: Inbox::default(),
            hid,
            hid_in: Inbox::default(),
            hid_open: false,
            card,
            card_in: Inbox::default(),
        };
        let card = reader::Pipes { arrivals, answers };
        let interfaces = Interfaces { keyboard: keyboard_end, hid: hid_end, card };
        Ok((interfaces, serve(bus, reader, card_answers, news, plugged)))
    }
}

async fn serve(
    mut bus: Bus,
    reader: OwnedReadHalf,
    answers: mpsc::UnboundedReceiver<Vec<u8>>,
    news: mpsc::UnboundedReceiver<News>,
    mut plugged: watch::Receiver<()>,
) -> Ended {
    let (sender, messages) = mpsc::channel(1);
    // A message comes in pieces: its reader must not be dropped between two of them.
    let listener = tokio::spawn(read(reader, sender));
    let outcome = tokio::select! {
        outcome = bus.run(messages, answers, news) => outcome,
        _ = plugged.changed() => Ok(Ending::Gone),
    };
    listener.abort();
    // Its half of the socket has to go, too, for the kernel to see the device go.
    listener.await.ok();
    let ending = outcome.unwrap_or_else(|error| {
        complain(&error);
        Ending::Vanished
    });
    Ended::new(ending, bus)
}

impl Bus {
    async fn run(
        &mut self,
        mut messages: mpsc::Receiver<io::Result<Message>>,
        mut answers: mpsc::UnboundedReceiver<Vec<u8>>,
        mut news: mpsc::UnboundedReceiver<News>,
    ) -> io::Result<Ending> {
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => {
                        let (command, data) = message?;
                        self.obey(command, data).await?;
                    }
                    // Somebody detached it on the kernel's side.
                    None => return Ok(Ending::Vanished),
                },
                arrival = self.hid.receive() => match arrival? {
                    Arrival::Report(report) => if self.hid_open {
                        self.hid_in.ready.push_back(report.to_vec());
                    },
                    Arrival::NobodyListens => {}
                    Arrival::Gone => return Ok(Ending::Gone),
                },
                Some(message) = answers.recv() => self.card_in.ready.push_back(message),
                Some(news) = news.recv() => self.keyboard.hear(news),
            }
            let met = [self.hid_in.meet(), self.card_in.meet()].concat();
            for answer in met {
                self.writer.write_all(&answer).await?;
            }
        }
    }

    async fn obey(&mut self, command: Command, data: Vec<u8>) -> io::Result<()> {
        let answer = match command {
            Command::Unlink { sequence, victim } => {
                let was_hid = self.hid_in.unlink(victim);
                if was_hid {
                    self.close_hid().await?;
                }
                let was_other = self.card_in.unlink(victim) || self.keyboard_in.unlink(victim);
                urb::unlinked(sequence, was_hid || was_other)
            }
            Command::Submit { sequence, endpoint: 0, transfer, setup } => {
                self.control(sequence, transfer, setup, &data)
            }
            Command::Submit { sequence, endpoint, transfer, .. } => match (endpoint, transfer) {
                (KEYBOARD_ENDPOINT, Transfer::In(room)) => {
                    // Nothing will come.
                    self.keyboard_in.asked.push_back((sequence, room));
                    return Ok(());
                }
                (HID_ENDPOINT, Transfer::In(room)) => {
                    self.hid_open = true;
                    self.hid_in.asked.push_back((sequence, room));
                    return Ok(());
                }
                (CARD_ENDPOINT, Transfer::In(room)) => {
                    self.card_in.asked.push_back((sequence, room));
                    return Ok(());
                }
                (HID_ENDPOINT, Transfer::Out(length)) => match data[..].try_into() {
                    Ok(report) => {
                        self.hid.send(report).await?;
                        urb::taken(sequence, length)
                    }
                    Err(_) => urb::stalled(sequence),
                },
                (CARD_ENDPOINT, Transfer::Out(length)) => {
                    // An interface that is gone ends the device, too.
                    self.card.send(data).ok();
                    urb::taken(sequence, length)
                }
                _ => urb::stalled(sequence),
            },
        };
        self.writer.write_all(&answer).await
    }

    fn control(&mut self, sequence: u32, transfer: Transfer, setup: Setup, data: &[u8]) -> Vec<u8> {
        let own = match setup {
            [_, _, _, _, KEYBOARD_INTERFACE, 0, ..] => self.keyboard.answer(setup, data),
            _ => None,
        };
        match (own.or_else(|| control::answer(&self.descriptors, setup)), transfer) {
            (Some(mut data), Transfer::In(room)) => {
                data.truncate(room);
                urb::given(sequence, &data)
            }
            (Some(_), Transfer::Out(length)) => urb::taken(sequence, length),
            (None, _) => urb::stalled(sequence),
        }
    }

    /// The last program has closed the HID device: what was for it, is for nobody. A real key would work on; ours
    /// would wait for a touch much longer than any, and does as with the kernel's other HID wire.
    async fn close_hid(&mut self) -> io::Result<()> {
        self.hid_open = false;
        self.hid_in.ready.clear();
        self.hid.tell_nobody_listens().await
    }
}

async fn read(mut stream: OwnedReadHalf, messages: mpsc::Sender<io::Result<Message>>) {
    loop {
        let message = async {
            let mut header = [0; HEADER_SIZE];
            stream.read_exact(&mut header).await?;
            let command = Command::parse(&header)
                .map_err(|nonsense| io::Error::new(io::ErrorKind::InvalidData, nonsense))?;
            let mut data = vec![0; command.data_size()];
            stream.read_exact(&mut data).await?;
            Ok::<_, io::Error>((command, data))
        };
        match message.await {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
            {
                return;
            }
            message => {
                let failed = message.is_err();
                if messages.send(message).await.is_err() || failed {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
