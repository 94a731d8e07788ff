//! The card in a reader.

use super::super::promise::{Promise, Promised, promise};
use super::readers::{Reader, thread};
use crate::channel::{After, Cancel, Card, ChannelError, Patience};
use pcsc::{Context, Disposition, Error, Protocols, Scope, ShareMode, Transaction};
use std::ffi::CString;
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Bytes of the longest response that a reader is allowed: an extended one.
const RESPONSE: usize = 65_536 + 2;
/// How often a reader that another program has for itself alone is tried again; pcscd announces no end of that.
const RETRY: Duration = Duration::from_millis(100);
/// How long letting go may take: a reset is a matter of milliseconds.
const LETTING_GO: Duration = Duration::from_secs(2);
/// How often a card is connected again that was reset before it was ours.
const RESETS: usize = 3;

/// The card in a reader, whichever it is at the moment: each [`Card::begin`] connects anew, so that a card that was
/// pulled, reset or unpowered meanwhile, or a pcscd that was restarted, does not matter.
///
/// Between `begin` and `end` a thread holds it: shared connection, exclusive transaction.
pub struct PcscCard {
    reader: CString,
    held: Option<Sender<Ask>>,
}

/// What the thread is asked. When nobody can ask it any more, it resets the card and ends.
enum Ask {
    Transmit(Zeroizing<Vec<u8>>, Promise<Answer>),
    End(After, Promise<()>),
}

type Answer = Result<Zeroizing<Vec<u8>>, ChannelError>;

impl PcscCard {
    /// The card in `reader`. Nothing is sent yet.
    pub fn new(reader: &Reader) -> Self {
        Self { reader: reader.name.clone(), held: None }
    }
}

impl Card for PcscCard {
    fn begin(&mut self, patience: &Patience) -> Result<(), ChannelError> {
        self.end(After::Reset);
        let (asks, asked) = channel();
        let (promise, begun) = promise()?;
        let reader = self.reader.clone();
        let started = thread().spawn(move || hold(&reader, promise, &asked));
        started.map_err(|error| ChannelError::Io(error.kind()))?;
        // Only another program's transaction takes longer than a moment.
        begun
            .wait(patience)
            .map_err(|error| if error == ChannelError::TimedOut { ChannelError::Busy } else { error })??;
        self.held = Some(asks);
        Ok(())
    }

    fn transmit(&mut self, command: &[u8], patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        let answer = self.ask(command, patience);
        if answer.is_err() {
            // The thread may be waiting for the card still: it is left to itself, and resets the card then.
            self.held = None;
        }
        answer.map(|mut answer| std::mem::take(&mut *answer))
    }

    fn end(&mut self, after: After) {
        let Some(held) = self.held.take() else { return };
        let Ok((promise, ended)) = promise() else { return };
        if held.send(Ask::End(after, promise)).is_ok() {
            let _slow_is_as_good = brief().and_then(|patience| ended.wait(&patience));
        }
    }
}

impl PcscCard {
    fn ask(&self, command: &[u8], patience: &Patience) -> Answer {
        let held = self.held.as_ref().ok_or(ChannelError::Gone)?;
        let (promise, promised): (_, Promised<Answer>) = promise()?;
        let ask = Ask::Transmit(Zeroizing::new(command.to_vec()), promise);
        held.send(ask).map_err(|_thread_ended| ChannelError::Gone)?;
        promised.wait(patience)?
    }
}

impl Drop for PcscCard {
    fn drop(&mut self) {
        self.end(After::Reset);
    }
}

fn brief() -> Result<Patience, ChannelError> {
    let now = Instant::now();
    let cancel = Cancel::new().map_err(|error| ChannelError::Io(error.kind()))?;
    Ok(Patience { deadline: now.checked_add(LETTING_GO).unwrap_or(now), cancel })
}

/// The thread.
fn hold(reader: &CString, begun: Promise<Result<(), ChannelError>>, asked: &Receiver<Ask>) {
    let mut begun = Some(begun);
    let mut resets = 0..RESETS;
    let error = loop {
        match attempt(reader, &mut begun, asked) {
            Ok(()) => return,
            Err(Error::ResetCard) if begun.is_some() && resets.next().is_some() => {}
            Err(Error::SharingViolation) => match asked.recv_timeout(RETRY) {
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody waits any more.
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            },
            Err(error) => break error,
        }
    };
    if let Some(begun) = begun {
        begun.keep(Err(failed(error)));
    }
}

/// Connects, takes the card, and does what is asked; fails only before `begun` was kept.
fn attempt(
    reader: &CString,
    begun: &mut Option<Promise<Result<(), ChannelError>>>,
    asked: &Receiver<Ask>,
) -> Result<(), Error> {
    let context = Context::establish(Scope::System)?;
    let mut card = context.connect(reader, ShareMode::Shared, Protocols::ANY)?;
    let transaction = card.transaction()?;
    if let Some(begun) = begun.take() {
        begun.keep(Ok(()));
    }
    let (after, ended) = serve(&transaction, asked);
    let disposition = match after {
        After::Leave => Disposition::LeaveCard,
        After::Reset => Disposition::ResetCard,
    };
    // Whatever goes wrong here: the connection ends with the context, and the transaction with the connection.
    let _let_go = transaction.end(disposition).map_err(|(transaction, _)| drop(transaction));
    let _disconnected = card.disconnect(Disposition::LeaveCard).map_err(|(card, _)| drop(card));
    if let Some(ended) = ended {
        ended.keep(());
    }
    Ok(())
}

fn serve(transaction: &Transaction<'_>, asked: &Receiver<Ask>) -> (After, Option<Promise<()>>) {
    while let Ok(ask) = asked.recv() {
        match ask {
            Ask::Transmit(command, promise) => promise.keep(transmit(transaction, &command)),
            Ask::End(after, promise) => return (after, Some(promise)),
        }
    }
    (After::Reset, None)
}

fn transmit(transaction: &Transaction<'_>, command: &[u8]) -> Answer {
    let mut buffer = Zeroizing::new(vec![0; RESPONSE]);
    let answer = transaction.transmit(command, &mut buffer).map_err(failed)?;
    // Every answer has a status word. Of a card that is pulled out meanwhile, some drivers tell by none at all.
    if answer.is_empty() {
        return Err(ChannelError::Gone);
    }
    Ok(Zeroizing::new(answer.to_vec()))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what nobody can act on is a failure of the system's")]
fn failed(error: Error) -> ChannelError {
    match error {
        Error::NoSmartcard
        | Error::RemovedCard
        | Error::UnpoweredCard
        | Error::UnresponsiveCard
        | Error::UnknownReader
        | Error::ReaderUnavailable
        | Error::NoReadersAvailable
        | Error::NoService
        | Error::ServiceStopped
        | Error::InvalidHandle
        | Error::NotTransacted
        | Error::CommError => ChannelError::Gone,
        Error::ResetCard => ChannelError::Reset,
        Error::SharingViolation => ChannelError::Busy,
        Error::Timeout => ChannelError::TimedOut,
        Error::Cancelled => ChannelError::Cancelled,
        Error::SecurityViolation | Error::NoAccess => ChannelError::Io(ErrorKind::PermissionDenied),
        Error::InsufficientBuffer => ChannelError::Io(ErrorKind::InvalidData),
        _ => ChannelError::Io(ErrorKind::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_not_there_has_no_card() {
        let mut card = PcscCard { reader: c"no such reader".to_owned(), held: None };
        let patience = brief().unwrap();
        // Without pcscd as well as with it.
        assert_eq!(card.begin(&patience), Err(ChannelError::Gone));
        assert_eq!(card.transmit(&[0, 0xa4, 4, 0], &patience), Err(ChannelError::Gone));
        card.end(After::Reset);
    }

    #[test]
    fn what_pcscd_says_has_a_meaning() {
        for gone in [Error::RemovedCard, Error::NoSmartcard, Error::ServiceStopped, Error::NoService] {
            assert_eq!(failed(gone), ChannelError::Gone);
        }
        assert_eq!(failed(Error::ResetCard), ChannelError::Reset);
        assert_eq!(failed(Error::SharingViolation), ChannelError::Busy);
        assert_eq!(failed(Error::SecurityViolation), ChannelError::Io(ErrorKind::PermissionDenied));
    }
}
