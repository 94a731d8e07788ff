//! The one thread that writes: the vault, the machine's memory, the audit log. Nothing that waits for the disk
//! runs anywhere else.

mod desk;
mod records;

use super::error::Error;
use crate::audit::{Anchor, Lost, Note, Session, Snapshot};
use crate::store::{Keep, Store, StoreError};
use desk::Desk;
use records::Message;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// Where the audit log is, and when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The file.
    pub path: PathBuf,
    /// From this length on, a new file is begun.
    pub rotate: u64,
}

/// What the writer shows of the log, to be read without waiting for the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    /// The last record's place, where it is known.
    pub(super) place: Option<Anchor>,
    /// Why the log cannot be written.
    pub(super) trouble: Option<String>,
    /// What it lost.
    pub(super) lost: Option<Lost>,
    /// Whether the reserve is whole.
    pub(super) reserve: bool,
}

/// A way to the thread. It ends when the last of these is dropped.
#[derive(Clone, Debug)]
struct Writer(mpsc::Sender<Job>);

impl Writer {
    async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Desk) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |desk: &mut Desk| {
            let _asker_gone = answer.send(job(desk));
        });
        self.0.send(job).map_err(|_stopped| STOPPING)?;
        answered.await.map_err(|_stopped| STOPPING)
    }
}

const STOPPING: Error = Error::Failed("the daemon is stopping");

/// A way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    writer: Writer,
    records: UnboundedSender<Message>,
    board: Arc<Mutex<Board>>,
}

impl Disk {
    /// Starts the thread; must be called within the runtime.
    pub(super) fn start(store: Box<dyn Store>, log: LogPlace) -> Result<Self, Error> {
        let (jobs, received) = mpsc::channel::<Job>();
        let board = Arc::new(Mutex::new(Board { reserve: true, ..Board::default() }));
        let shown = Arc::clone(&board);
        std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let mut desk = Desk::new(store, log, shown);
                for job in received {
                    job(&mut desk);
                }
            })
            .map_err(|_no_thread| Error::Failed("the system allows no further thread"))?;
        let writer = Writer(jobs);
        let (records, waiting) = unbounded_channel();
        tokio::spawn(records::collect(waiting, writer.clone()));
        Ok(Self { writer, records, board })
    }

    /// Runs a job on the store; what goes wrong there says in which file's place.
    async fn store<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Store) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, Error> {
        let job = move |desk: &mut Desk| {
            job(&mut *desk.store).map_err(|error| Error::Store(desk.store.path().to_owned(), error))
        };
        self.writer.run(job).await?
    }

    /// Writes the vault; returns when it is on the disk.
    pub(super) async fn save_vault(&self, bytes: Vec<u8>, keep: Keep) -> Result<(), Error> {
        self.store(move |store| store.save(&bytes, keep)).await
    }

    /// Reads the vault again.
    pub(super) async fn load_vault(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store(|store| store.load()).await
    }

    /// Reads the machine's memory.
    pub(super) async fn load_state(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store(|store| store.load_state()).await
    }

    /// Reads the vault as it is on the disk, without taking it for the one that the next save replaces.
    pub(super) async fn peek_vault(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store(|store| store.peek()).await
    }

    /// Writes the machine's memory; returns when it is on the disk.
    pub(super) async fn save_state(&self, bytes: Vec<u8>) -> Result<(), Error> {
        self.writer.run(move |desk| desk.save_state(&bytes)).await?
    }

    /// Opens the audit log; nobody waits for it. That it cannot be opened is not fatal here: without it no
    /// secret is released, and each refusal says why.
    pub(super) fn open_log(&self) {
        let job = Box::new(|desk: &mut Desk| {
            let _told_with_each_refusal = desk.log();
            desk.show();
        });
        let _stopping = self.writer.0.send(job);
    }

    /// Writes an audit record; returns when it is on the disk, or when it is a refusal that is told later together
    /// with others like it.
    pub(super) async fn record(&self, note: impl Into<Note>) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.records.send(Message::Record(Box::new(note.into()), answer)).map_err(|_stopped| STOPPING)?;
        answered.await.map_err(|_stopped| STOPPING)?.map_err(Error::AuditFailed)
    }

    /// Writes the refusals that are held.
    pub(super) async fn tell_all(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.records.send(Message::TellAll(answer)).map_err(|_stopped| STOPPING)?;
        answered.await.map_err(|_stopped| STOPPING)?.map_err(Error::AuditFailed)
    }

    /// How things stand with the log.
    pub(super) fn board(&self) -> Board {
        self.board.lock().map(|board| board.clone()).unwrap_or_default()
    }

    /// The log as it is now, to be read by somebody else.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.writer.run(Desk::snapshot).await?.map_err(Error::AuditFailed)
    }

    /// What the log has lost of what the vault has sealed, and does not yet say itself.
    pub(super) async fn lost_since(&self, sealed: Anchor) -> Result<Option<Lost>, Error> {
        let lost = self.writer.run(move |desk| {
            let log = desk.log()?;
            let lost = log.lost_since(sealed)?;
            // Once it says so, it says so until its file is put away.
            Ok(lost.filter(|_| log.lost().is_none()))
        });
        lost.await?.map_err(Error::AuditFailed)
    }

    /// Goes on with the keys of an earlier session, which is still open.
    pub(super) async fn resume(&self, session: Arc<Session>) -> Result<(), Error> {
        let resumed = self.writer.run(move |desk| desk.log().map(|log| log.resume(&session)));
        resumed.await?.map_err(Error::AuditFailed)
    }
}

#[cfg(test)]
mod tests;
