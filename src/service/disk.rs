//! The one thread that writes: the vault, the machine's memory, the audit log. Nothing that waits for the disk
//! runs anywhere else.

use super::error::Error;
use crate::audit::{AuditError, Entry, Log};
use crate::store::{Keep, Store, StoreError};
use std::path::PathBuf;
use std::sync::mpsc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Records that are written in one go at most.
const BATCH: usize = 64;

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// A record, and who waits for it to be on the disk.
struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Result<(), AuditError>>,
}

struct Desk {
    store: Box<dyn Store>,
    /// Not there until it is opened, which verifies it from its first line.
    audit: Option<Log>,
    audit_path: PathBuf,
}

impl Desk {
    /// The log. One that could not be opened is tried again: the custodian may have put it right since.
    fn log(&mut self) -> Result<&mut Log, AuditError> {
        let log = match self.audit.take() {
            Some(log) => log,
            None => Log::open(&self.audit_path)?,
        };
        Ok(self.audit.insert(log))
    }
}

/// Hands the records that wait to the writer, all of them in one job: they share one sync and its fate. To wake the
/// writer's thread, and to be woken by it, costs more than a record does.
async fn collect(mut records: UnboundedReceiver<Waiting>, writer: Writer) {
    let mut batch = Vec::new();
    while records.recv_many(&mut batch, BATCH).await > 0 {
        let (entries, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.entry, waiting.answer)).unzip();
        let written = writer.run(move |desk| desk.log().and_then(|log| log.append(&entries))).await;
        // Without a result the answers are dropped, which is one, too.
        let Ok(result) = written else { continue };
        for answer in answers {
            let _asker_gone = answer.send(result.clone());
        }
    }
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
    records: UnboundedSender<Waiting>,
}

impl Disk {
    /// Starts the thread; must be called within the runtime.
    pub(super) fn start(store: Box<dyn Store>, audit_path: PathBuf) -> Result<Self, Error> {
        let (jobs, received) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let mut desk = Desk { store, audit: None, audit_path };
                for job in received {
                    job(&mut desk);
                }
            })
            .map_err(|_no_thread| Error::Failed("the system allows no further thread"))?;
        let writer = Writer(jobs);
        let (records, waiting) = unbounded_channel();
        tokio::spawn(collect(waiting, writer.clone()));
        Ok(Self { writer, records })
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
        self.store(move |store| store.save_state(&bytes)).await
    }

    /// Opens the audit log; nobody waits for it. That it cannot be opened is not fatal here: without it no
    /// secret is released, and each refusal says why.
    pub(super) fn open_log(&self) {
        let job = Box::new(|desk: &mut Desk| {
            let _told_with_each_refusal = desk.log();
        });
        let _stopping = self.writer.0.send(job);
    }

    /// Writes an audit record; returns when it is on the disk.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.records.send(Waiting { entry, answer }).map_err(|_stopped| STOPPING)?;
        answered.await.map_err(|_stopped| STOPPING)?.map_err(Error::AuditFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Outcome;
    use crate::store::FileStore;

    #[tokio::test]
    async fn records_that_wait_for_the_writer_are_all_in_the_log_in_their_order() {
        let folder = std::env::temp_dir().join(format!("rootseal-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("audit.log");
        let disk = Disk::start(Box::new(FileStore::open(&folder).unwrap()), path.clone()).unwrap();
        let (go_on, busy) = mpsc::channel::<()>();
        disk.writer.0.send(Box::new(move |_desk| busy.recv().unwrap())).unwrap();
        let mut records = tokio::task::JoinSet::new();
        for time in 1..=100 {
            let entry = Entry {
                time,
                event: "session".to_owned(),
                outcome: Outcome::Granted,
                reason: None,
                uid: 0,
                pid: 1,
                says_it_is: None,
                what: None,
                token: None,
            };
            let disk = disk.clone();
            records.spawn(async move { disk.record(entry).await });
        }
        // Each runs up to where it waits for the writer.
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
        assert!(records.join_all().await.into_iter().all(|record| record.is_ok()));
        let text = std::fs::read_to_string(&path).unwrap();
        let times: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["time"].as_u64().unwrap())
            .collect();
        assert_eq!(times, (1..=100).collect::<Vec<_>>());
        Log::open(&path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
