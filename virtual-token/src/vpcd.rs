//! The wire to vpcd, the virtual reader of pcscd (vsmartcard): a TCP connection, on which each message has a
//! length of two bytes in front. A message of one byte controls the card, every other one is a command APDU.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::sleep,
};

use crate::{
    authenticator::Request,
    card::{
        ATR,
        apdu::{Status, response},
    },
    fault::{Interface, Verdict},
    session::Ending,
    token::{Pending, Token, complain},
};

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GIVE_ATR: u8 = 4;

/// Between two tries to reach a reader that has gone.
const PAUSE: Duration = Duration::from_millis(50);

/// A card without an answer: nobody can tell what is wrong with it.
const NO_DIAGNOSIS: Status = Status(0x6F00);

/// Puts the card into the reader that listens there.
///
/// # Errors
/// When none does.
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot reach a reader at {address}: {error}"))
    })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Serves the reader until `plugged` loses its sender or a fault ends it. A reader that goes away (because pcscd
/// was stopped) is tried for again.
pub async fn serve(
    token: Token,
    stream: TcpStream,
    address: String,
    mut plugged: watch::Receiver<()>,
) -> Ending {
    let mut stream = Some(stream);
    loop {
        let found = if let Some(found) = stream.take() {
            found
        } else {
            tokio::select! {
                found = search(&address) => found,
                _ = plugged.changed() => return Ending::Gone,
            }
        };
        let mut slot = Slot::new(token.clone(), found);
        let outcome = tokio::select! {
            outcome = slot.run() => outcome,
            _ = plugged.changed() => Ok(Ending::Gone),
        };
        slot.abandon().await;
        match outcome {
            Ok(Ending::Gone) if plugged.has_changed().is_ok() => {}
            Ok(ending) => return ending,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => complain(&error),
        }
        token.reset_card().await;
    }
}

async fn search(address: &str) -> TcpStream {
    loop {
        match connect(address).await {
            Ok(stream) => return stream,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// The reader's slot, with the card in it.
struct Slot {
    token: Token,
    arrivals: mpsc::Receiver<io::Result<Vec<u8>>>,
    reader: tokio::task::JoinHandle<()>,
    writer: OwnedWriteHalf,
    pending: Option<Pending>,
}

impl Slot {
    fn new(token: Token, stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        let (sender, arrivals) = mpsc::channel(1);
        // A message comes in pieces: its reader must not be dropped between two of them.
        let reader = tokio::spawn(read(reader, sender));
        Self { token, arrivals, reader, writer, pending: None }
    }

    async fn run(&mut self) -> io::Result<Ending> {
        while let Some(message) = self.arrivals.recv().await {
            match message?[..] {
                [POWER_OFF | POWER_ON | RESET] => self.token.reset_card().await,
                [GIVE_ATR] => self.write(&ATR).await?,
                ref command => {
                    if let Some(ending) = self.command(command.to_vec()).await? {
                        return Ok(ending);
                    }
                }
            }
        }
        Ok(Ending::Gone)
    }

    /// Answers a command, or says how it ends instead.
    async fn command(&mut self, command: Vec<u8>) -> io::Result<Option<Ending>> {
        self.token.note_request();
        match self.token.faults().step(Interface::Card) {
            Verdict::Pass => {}
            Verdict::Swallow => return Ok(None),
            Verdict::Vanish => return Ok(Some(Ending::Vanished)),
            Verdict::Reset => return Ok(Some(Ending::Reset)),
        }
        self.pending = self.token.submit(Request::Card(command)).await;
        let answer = match &mut self.pending {
            Some(pending) => tokio::select! {
                answer = pending.answer() => answer.ok(),
                // It sends nothing while it waits: it has gone.
                _ = self.arrivals.recv() => return Ok(Some(Ending::Gone)),
            },
            None => None,
        };
        self.pending = None;
        let mut answer = answer.unwrap_or_else(|| response(Vec::new(), NO_DIAGNOSIS));
        let faults = self.token.faults();
        match faults.step(Interface::Card) {
            Verdict::Pass => {}
            Verdict::Swallow => return Ok(None),
            Verdict::Vanish => return Ok(Some(Ending::Vanished)),
            Verdict::Reset => return Ok(Some(Ending::Reset)),
        }
        tokio::select! {
            () = faults.released() => {}
            _ = self.arrivals.recv() => return Ok(Some(Ending::Gone)),
        }
        faults.garble(&mut answer);
        self.write(&answer).await?;
        Ok(None)
    }

    async fn write(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let message = [&length.to_be_bytes()[..], message].concat();
        self.writer.write_all(&message).await
    }

    async fn abandon(&mut self) {
        self.reader.abort();
        if let Some(mut pending) = self.pending.take() {
            self.token.cancel();
            pending.answer().await.ok();
        }
    }
}

async fn read(mut stream: OwnedReadHalf, arrivals: mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let message = async {
            let length = stream.read_u16().await?;
            let mut message = vec![0; length.into()];
            stream.read_exact(&mut message).await?;
            Ok::<_, io::Error>(message)
        };
        match message.await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            message => {
                let failed = message.is_err();
                if arrivals.send(message).await.is_err() || failed {
                    return;
                }
            }
        }
    }
}
