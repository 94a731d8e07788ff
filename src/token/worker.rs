//! The thread that owns a token. Jobs are done in turn; one whose asker went away is cancelled at once.

use super::{Device, Token, TokenError};
use crate::channel::{Cancel, Patience};
use crate::secret::forgetting;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A way to hand jobs to one token's thread. The thread ends when the last of these is dropped.
pub struct Worker<T: ?Sized = dyn Token> {
    jobs: mpsc::Sender<Job<T>>,
    holds: Arc<AtomicUsize>,
}

/// Tells a thread from all others, before and after it, and does not keep it.
#[derive(Clone, Debug)]
pub struct Mark(Weak<AtomicUsize>);

impl<T: ?Sized> Clone for Worker<T> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), holds: Arc::clone(&self.holds) }
    }
}

impl<T: ?Sized> std::fmt::Debug for Worker<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl<T: ?Sized + Device + 'static> Worker<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system allows no further thread.
    pub fn start(mut token: Box<T>) -> std::io::Result<Self> {
        let (jobs, received) = mpsc::channel::<Job<T>>();
        std::thread::Builder::new().name("token".into()).stack_size(256 * 1024).spawn(move || {
            for job in received {
                forgetting(|| job(&mut *token));
            }
        })?;
        Ok(Self { jobs, holds: Arc::default() })
    }

    /// Whether somebody holds it, so that a job would have to wait for a person. Mere questions are soon over: to
    /// take them for a person would make a token seem absent that is only being listed.
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::Relaxed) > 0
    }

    /// By what this thread is known again.
    pub fn mark(&self) -> Mark {
        Mark(Arc::downgrade(&self.holds))
    }

    /// Whether it is the thread of that mark.
    pub fn has(&self, mark: &Mark) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.holds), mark.0.as_ptr())
    }

    /// Keeps the token for a flow of several jobs: nobody's question in between may make it
    /// forget a verified PIN. It is released when this is dropped.
    pub fn hold(&self) -> Hold<T> {
        Hold { _counted: Counted::new(&self.holds), jobs: self.jobs.clone() }
    }

    /// Has `job` done within `limit`, counted from when its turn comes. Dropping the future cancels the job.
    ///
    /// # Errors
    /// What the job returned, or [`TokenError::Gone`] when the thread is no more.
    pub async fn run<R: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce(&mut T, &Patience) -> Result<R, TokenError> + Send + 'static,
    ) -> Result<R, TokenError> {
        let cancel = CancelOnDrop(Cancel::new().map_err(|_no_descriptor_left| TokenError::Busy)?);
        let (answer, answered) = oneshot::channel();
        let flag = cancel.0.clone();
        let job: Job<T> = Box::new(move |token| {
            let now = Instant::now();
            let patience = Patience { deadline: now.checked_add(limit).unwrap_or(now), cancel: flag };
            let result = if patience.cancel.is_cancelled() {
                Err(TokenError::Cancelled)
            } else {
                job(token, &patience)
            };
            // An asker that went away gets no answer; a secret in it is wiped by its drop.
            let _asker_gone = answer.send(result);
        });
        self.jobs.send(job).map_err(|_thread_ended| TokenError::Gone)?;
        let result = answered.await.map_err(|_thread_ended| TokenError::Gone)?;
        drop(cancel);
        result
    }
}

/// A token that is kept for a flow.
#[derive(Debug)]
pub struct Hold<T: ?Sized + Device + 'static = dyn Token> {
    _counted: Counted,
    jobs: mpsc::Sender<Job<T>>,
}

impl<T: ?Sized + Device + 'static> Drop for Hold<T> {
    fn drop(&mut self) {
        let _gone_is_released_too = self.jobs.send(Box::new(T::release));
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::fido::FidoToken;
    use rustix::event::{PollFd, PollFlags, poll};

    /// A token at a place where nothing is plugged in: the thread and its jobs are as with any other.
    fn worker() -> Worker {
        let token: Box<dyn Token> = Box::new(FidoToken::at_socket("/nonexistent".into()));
        Worker::start(token).unwrap()
    }

    #[test]
    fn it_is_held_as_long_as_anybody_holds_it() {
        let worker = worker();
        let seen_elsewhere = worker.clone();
        assert!(!seen_elsewhere.is_held());
        let first = worker.hold();
        let second = worker.hold();
        assert!(seen_elsewhere.is_held());
        drop(first);
        assert!(seen_elsewhere.is_held(), "the other still does");
        drop(second);
        assert!(!seen_elsewhere.is_held());
    }

    #[tokio::test]
    async fn a_mere_question_does_not_hold_it() {
        let worker = worker();
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let asker = worker.clone();
        let question = tokio::spawn(async move {
            let job = move |_: &mut (dyn Token + 'static), _: &Patience| {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                Ok(())
            };
            asker.run(Duration::from_mins(1), job).await
        });
        has_begun.await.unwrap();
        assert!(!worker.is_held());
        go_on.send(()).unwrap();
        assert_eq!(question.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn whoever_goes_away_cancels_its_job_and_the_next_has_its_turn() {
        let worker = worker();
        let (begun, has_begun) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let asker = worker.clone();
        let question = tokio::spawn(async move {
            let job = move |_: &mut (dyn Token + 'static), patience: &Patience| {
                begun.send(()).unwrap();
                poll(&mut [PollFd::new(&patience.cancel, PollFlags::IN)], None).unwrap();
                ended.send(()).unwrap();
                Ok(())
            };
            asker.run(Duration::from_mins(1), job).await
        });
        has_begun.await.unwrap();
        question.abort();
        has_ended.await.unwrap();
        assert_eq!(worker.run(Duration::from_mins(1), |_, _| Ok(1)).await, Ok(1));
    }
}
