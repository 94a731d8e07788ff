//! The readers of smart cards, asked for on a thread: pcscd may hang, and then nobody hangs with it.

use crate::transport::pcsc::{Reader, ReaderError, Readers};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long pcscd may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of pcscd.
#[derive(Clone, Default)]
pub(super) struct Cards {
    /// One question at a time; the others wait for its end and then ask themselves.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Set while a question is under way, perhaps for ever.
    asked: Arc<AtomicBool>,
    connection: Arc<Mutex<Option<Readers>>>,
}

impl std::fmt::Debug for Cards {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cards").finish_non_exhaustive()
    }
}

impl Cards {
    /// The readers there are now.
    pub(super) async fn readers(&self) -> Result<Vec<Reader>, ReaderError> {
        let _turn = self.turn.lock().await;
        if self.asked.swap(true, Ordering::Relaxed) {
            return Err(ReaderError::TimedOut);
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        let (asked, connection) = (Arc::clone(&self.asked), Arc::clone(&self.connection));
        let started =
            std::thread::Builder::new().name("readers".into()).stack_size(256 * 1024).spawn(move || {
                let readers = list(&connection);
                asked.store(false, Ordering::Relaxed);
                let _nobody_waited_so_long = answer.send(readers);
            });
        if started.is_err() {
            self.asked.store(false, Ordering::Relaxed);
            return Err(ReaderError::TimedOut);
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(readers)) => readers,
            Ok(Err(_)) | Err(_) => Err(ReaderError::TimedOut),
        }
    }
}

/// By the connection of last time, or a new one: pcscd may have been restarted.
fn list(connection: &Mutex<Option<Readers>>) -> Result<Vec<Reader>, ReaderError> {
    let mut connection = connection.lock().map_err(|_poisoned| ReaderError::Stopped)?;
    if let Some(readers) = connection.as_mut()
        && let Ok(list) = readers.list()
    {
        return Ok(list);
    }
    *connection = None;
    connection.insert(Readers::connect()?).list()
}
