//! Who is asking for what right now, so that many asking for the same share one prompt.

use super::CredentialRequest;
use crate::service::caller::Caller;
use crate::service::error::Error;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::OwnedMutexGuard;

/// More than these are not named one by one.
const MOST_NAMES: usize = 3;

type Key = (u32, String, Option<String>, Option<String>);

/// Requests under way.
#[derive(Debug, Default)]
pub(in crate::service) struct Pending(Mutex<HashMap<Key, Weak<Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    first: Arc<tokio::sync::Mutex<()>>,
    waiting: Mutex<Vec<(u64, String)>>,
    /// Those who came before this number have been refused with the first.
    refused: AtomicU64,
    next: AtomicU64,
}

impl Pending {
    /// A place in the queue of those who ask for the same.
    pub(super) fn turn(&self, request: &CredentialRequest, caller: &Caller) -> Place {
        let key = (caller.uid, request.profile.clone(), request.endpoint.clone(), request.region.clone());
        let Ok(mut queues) = self.0.lock() else { return Place(Arc::default()) };
        queues.retain(|_, queue| queue.strong_count() > 0);
        if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
            return Place(queue);
        }
        let queue = Arc::default();
        queues.insert(key, Arc::downgrade(&queue));
        Place(queue)
    }
}

/// A place in a queue.
pub(super) struct Place(Arc<Queue>);

/// The first in its queue, until it is dropped.
pub(in crate::service) struct Turn {
    queue: Arc<Queue>,
    _first: OwnedMutexGuard<()>,
}

impl Place {
    /// Waits to be the first; meanwhile, the first one's prompt names this caller, too.
    ///
    /// # Errors
    /// The first one's prompt, which named this caller, too, was refused.
    pub(super) async fn wait(self, caller: &Caller) -> Result<Turn, Error> {
        let queue = self.0;
        let named = Named::new(&queue, caller);
        let first = Arc::clone(&queue.first).lock_owned().await;
        if named.number < queue.refused.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        Ok(Turn { queue: Arc::clone(&queue), _first: first })
    }
}

impl Turn {
    /// Those who wait behind; of a crowd, the first and how many more.
    pub(super) fn others(&self) -> Vec<String> {
        let Ok(waiting) = self.queue.waiting.lock() else { return Vec::new() };
        let mut names: Vec<_> = waiting.iter().take(MOST_NAMES).map(|(_, name)| name.clone()).collect();
        let more = waiting.len().saturating_sub(MOST_NAMES);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        names
    }

    /// Lets the refusal of this one count for all who wait now.
    pub(super) fn refuse_others(&self) {
        self.queue.refused.store(self.queue.next.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A name on the list of those who wait.
struct Named {
    queue: Arc<Queue>,
    number: u64,
}

impl Named {
    fn new(queue: &Arc<Queue>, caller: &Caller) -> Self {
        let number = queue.next.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut waiting) = queue.waiting.lock() {
            waiting.push((number, caller.to_string()));
        }
        Self { queue: Arc::clone(queue), number }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Ok(mut waiting) = self.queue.waiting.lock() {
            waiting.retain(|(number, _)| *number != self.number);
        }
    }
}
