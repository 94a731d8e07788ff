//! The one owner of the open vault: a task. Others hand it short pieces of work and wait for the result; it
//! never waits for a token, a person or the disk, so that locking always comes through.

use super::error::Error;
use super::house::House;
use crate::secret::forgetting;
use tokio::sync::{mpsc, oneshot};

enum Work {
    /// May open something: the stack is overwritten afterwards.
    Any(Box<dyn FnOnce(&mut House) + Send>),
    /// Only looks.
    Glance(Box<dyn FnOnce(&House) + Send>),
}

/// A way to reach the owner.
#[derive(Clone, Debug)]
pub(super) struct Keeper(mpsc::UnboundedSender<Work>);

impl Keeper {
    /// Starts the task; must be called within the runtime.
    pub(super) fn start(mut house: House) -> Self {
        let (sender, mut received) = mpsc::unbounded_channel::<Work>();
        tokio::spawn(async move {
            while let Some(work) = received.recv().await {
                match work {
                    Work::Any(work) => forgetting(|| work(&mut house)),
                    Work::Glance(work) => work(&house),
                }
            }
        });
        Self(sender)
    }

    /// Has `work` done in its turn.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut House) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |house: &mut House| {
            // An asker that went away gets no answer; a secret in it is wiped by its drop.
            let _asker_gone = answer.send(work(house));
        });
        self.0.send(Work::Any(work)).map_err(|_stopped| Error::Failed("the daemon is stopping"))?;
        answered.await.map_err(|_stopped| Error::Failed("the daemon is stopping"))
    }

    /// As [`Self::ask`], for work that can fail.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut House) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.ask(work).await?
    }

    /// As [`Self::run`], for work that no key passes through: what is answered from the open index, the cache or
    /// the machine's memory is answered quicker.
    pub(super) async fn glance<R: Send + 'static>(
        &self,
        work: impl FnOnce(&House) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |house: &House| {
            let _asker_gone = answer.send(work(house));
        });
        self.0.send(Work::Glance(work)).map_err(|_stopped| Error::Failed("the daemon is stopping"))?;
        answered.await.map_err(|_stopped| Error::Failed("the daemon is stopping"))?
    }
}
