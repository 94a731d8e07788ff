//! The wire to vpcd, the virtual reader of pcscd (vsmartcard): a TCP connection, on which each message has a
//! length of two bytes in front. A message of one byte controls the card, every other one is a command APDU.
//!
//! pcscd's thread for a reader looks into it every 0.4 s, and misses a card that goes and comes in between. Worse, if
//! a client finds the card gone before the thread does, pcscd 1.9.9 takes the reader for empty until the thread has
//! seen it so, too. So a card that is put in does not stay before both have happened: a look found nothing, and after
//! a later one the card was given power. Clients look as well: that is why one look is not enough.

use std::{io, time::Duration};

use rustix::net::sockopt::set_tcp_quickack;
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
    card::ATR,
    session::{Ended, Ending},
    slot::{Outcome, Slot},
    token::{Token, complain},
};

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GIVE_ATR: u8 = 4;

/// Looks at a new card before it is given power: the thread's, and the one before power is switched on. One more
/// while pcscd starts.
const LOOKS: usize = 3;

/// Between two tries to reach a reader that has gone.
const PAUSE: Duration = Duration::from_millis(50);

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
) -> Ended {
    let mut ends = tokio::select! {
        ends = enter(stream, &address) => ends,
        _ = plugged.changed() => return Ended::new(Ending::Gone, ()),
    };
    loop {
        let mut reader = Reader::new(token.clone(), ends);
        let outcome = tokio::select! {
            outcome = reader.run() => outcome,
            _ = plugged.changed() => Ok(Ending::Gone),
        };
        reader.abandon().await;
        match outcome {
            Ok(Ending::Gone) if plugged.has_changed().is_ok() => {}
            Ok(ending) => return Ended::new(ending, reader),
            Err(error) if lost(&error) => {}
            Err(error) => complain(&error),
        }
        drop(reader);
        token.reset_card();
        ends = tokio::select! {
            found = search(&address) => found.into_split(),
            _ = plugged.changed() => return Ended::new(Ending::Gone, ()),
        };
    }
}

type Ends = (OwnedReadHalf, OwnedWriteHalf);

/// Comes into the reader as a new card. Returns when it was given power.
async fn enter(mut stream: TcpStream, address: &str) -> Ends {
    let mut stays_for = 0;
    loop {
        let (mut reader, mut writer) = stream.into_split();
        let mut looks = 0..stays_for;
        let looked = loop {
            match receive(&mut reader).await.as_deref() {
                Ok([POWER_ON]) if stays_for > 0 => return (reader, writer),
                Ok([GIVE_ATR]) if looks.next().is_some() => {
                    if send(&mut writer, &ATR).await.is_err() {
                        break false;
                    }
                }
                Ok([GIVE_ATR]) => break true,
                // It is taken for the card that was there before, or the reader has gone.
                _ => break false,
            }
        };
        drop((reader, writer));
        stays_for = if looked { LOOKS } else { 0 };
        stream = search(address).await;
    }
}

/// Whether an error is but the other end having gone.
fn lost(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

async fn search(address: &str) -> TcpStream {
    loop {
        match connect(address).await {
            Ok(stream) => return stream,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// The reader's connection, and the slot that it stands for.
struct Reader {
    slot: Slot,
    arrivals: mpsc::Receiver<io::Result<Vec<u8>>>,
    listener: tokio::task::JoinHandle<()>,
    writer: OwnedWriteHalf,
}

impl Reader {
    fn new(token: Token, (reader, writer): Ends) -> Self {
        let (sender, arrivals) = mpsc::channel(1);
        // A message comes in pieces: its reader must not be dropped between two of them.
        let listener = tokio::spawn(read(reader, sender));
        Self { slot: Slot::new(token), arrivals, listener, writer }
    }

    async fn run(&mut self) -> io::Result<Ending> {
        while let Some(message) = self.arrivals.recv().await {
            match message?[..] {
                [POWER_OFF | POWER_ON | RESET] => self.slot.reset(),
                [GIVE_ATR] => send(&mut self.writer, &ATR).await?,
                ref command => {
                    let outcome = tokio::select! {
                        outcome = self.slot.transmit(command.to_vec()) => outcome,
                        // It sends nothing while it waits: it has gone.
                        _ = self.arrivals.recv() => Outcome::End(Ending::Gone),
                    };
                    match outcome {
                        Outcome::Answer(answer) => send(&mut self.writer, &answer).await?,
                        Outcome::Silence => {}
                        Outcome::End(ending) => return Ok(ending),
                    }
                }
            }
        }
        Ok(Ending::Gone)
    }

    async fn abandon(&mut self) {
        self.listener.abort();
        self.slot.abandon().await;
    }
}

async fn read(mut stream: OwnedReadHalf, arrivals: mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let message = receive(&mut stream).await;
        if message.as_ref().is_err_and(lost) {
            return;
        }
        let failed = message.is_err();
        if arrivals.send(message).await.is_err() || failed {
            return;
        }
    }
}

/// The next message.
async fn receive(stream: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    // vpcd keeps the rest back until its length has been acknowledged, which by itself takes 40 ms.
    set_tcp_quickack(stream.as_ref(), true)?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn send(stream: &mut OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LOOK: &[u8] = &[GIVE_ATR];
    const POWER: &[u8] = &[POWER_ON];

    /// Plays the reader while a card comes in: what is sent over each connection, of which the last message alone
    /// gets no answer, and ends the connection unless it is the very last one.
    async fn card_enters(connections: &[&[&[u8]]]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = connect(&address).await.unwrap();
        let reader = async {
            let mut kept = None;
            for messages in connections {
                let (mut reader, mut writer) = listener.accept().await.unwrap().0.into_split();
                let (last, looks) = messages.split_last().unwrap();
                for look in looks {
                    send(&mut writer, look).await.unwrap();
                    assert_eq!(receive(&mut reader).await.unwrap(), ATR, "{connections:?}");
                }
                send(&mut writer, last).await.unwrap();
                kept = Some((reader, writer));
            }
            kept.unwrap()
        };
        let (mut ends, mut card) = tokio::join!(reader, enter(stream, &address));
        send(&mut ends.1, b"still there").await.unwrap();
        assert_eq!(receive(&mut card.0).await.unwrap(), b"still there", "{connections:?}");
    }

    #[tokio::test]
    async fn a_card_enters_when_it_was_missed_and_then_powered() {
        card_enters(&[&[LOOK], &[LOOK, LOOK, POWER]]).await;
        card_enters(&[&[LOOK], &[POWER]]).await;
    }

    #[tokio::test]
    async fn a_card_that_is_taken_for_the_one_before_goes_again() {
        // A client finds nothing, and the reader's thread sees a card as ever.
        card_enters(&[&[LOOK], &[LOOK, LOOK, LOOK, LOOK], &[LOOK, LOOK, POWER]]).await;
        // A client goes on with the card that was there before.
        let select: &[u8] = &[0, 0xA4, 4, 0];
        card_enters(&[&[LOOK], &[LOOK, select], &[LOOK], &[LOOK, LOOK, POWER]]).await;
        card_enters(&[&[select], &[POWER], &[&[POWER_OFF]], &[LOOK], &[LOOK, LOOK, POWER]]).await;
    }
}
