//! Who is asking for what right now, so that many asking for the same share one prompt.

use super::CredentialRequest;
use crate::service::caller::Caller;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::OwnedMutexGuard;

type Key = (u32, String, Option<String>, Option<String>);

/// Requests under way.
#[derive(Debug, Default)]
pub(in crate::service) struct Pending(Mutex<HashMap<Key, Weak<Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    first: Arc<tokio::sync::Mutex<()>>,
    waiting: Mutex<Vec<(u64, String)>>,
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
    pub(super) async fn wait(self, caller: &Caller) -> Turn {
        let queue = self.0;
        let _named = Named::new(&queue, caller);
        let first = Arc::clone(&queue.first).lock_owned().await;
        Turn { queue: Arc::clone(&queue), _first: first }
    }
}

impl Turn {
    /// Those who wait behind.
    pub(super) fn others(&self) -> Vec<String> {
        let waiting = self.queue.waiting.lock();
        waiting.map(|waiting| waiting.iter().map(|(_, name)| name.clone()).collect()).unwrap_or_default()
    }
}

/// A name on the list of those who wait.
struct Named {
    queue: Arc<Queue>,
    number: u64,
}

impl Named {
    fn new(queue: &Arc<Queue>, caller: &Caller) -> Self {
        let mut number = 0;
        if let Ok(mut waiting) = queue.waiting.lock() {
            number = waiting.last().map_or(0, |(last, _)| last.wrapping_add(1));
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
