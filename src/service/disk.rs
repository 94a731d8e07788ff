//! The one thread that writes: the vault, the machine's memory, the audit log. Nothing that waits for the disk
//! runs anywhere else.

use super::error::Error;
use crate::audit::{AuditError, Entry, Log};
use crate::store::{Keep, Store, StoreError};
use std::path::PathBuf;
use std::sync::mpsc;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

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

/// A way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Disk(mpsc::Sender<Job>);

impl Disk {
    /// Starts the thread.
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
        Ok(Self(jobs))
    }

    /// Runs a job on the store; what goes wrong there says in which file's place.
    async fn store<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Store) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, Error> {
        let job = move |desk: &mut Desk| {
            job(&mut *desk.store).map_err(|error| Error::Store(desk.store.path().to_owned(), error))
        };
        self.run(job).await?
    }

    async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Desk) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |desk| {
            let _asker_gone = answer.send(job(desk));
        });
        self.0.send(job).map_err(|_stopped| Error::Failed("the daemon is stopping"))?;
        answered.await.map_err(|_stopped| Error::Failed("the daemon is stopping"))
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
        let job: Job = Box::new(|desk| {
            let _told_with_each_refusal = desk.log();
        });
        let _stopping = self.0.send(job);
    }

    /// Writes an audit record; returns when it is on the disk.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), Error> {
        self.run(move |desk| desk.log()?.append(&entry)).await?.map_err(Error::AuditFailed)
    }
}
