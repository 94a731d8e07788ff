//! Noticing that tokens come and go, without asking again and again: device nodes and sockets by inotify, cards by
//! pcscd's announcements, pcscd itself by its socket. What has come is not said: whoever is told looks for itself.

use super::cards::Cards;
use crate::transport::pcsc::{Interrupt, Reader, ReaderError, Readers, service_socket};
use crate::transport::watch::{Wanted, Watch};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};

/// Where device nodes are.
const DEVICES: &str = "/dev";
/// What the nodes of tokens are called.
const NODES: &str = "hidraw";
/// How long a burst may go on until it counts as one: a composite device brings several nodes, and udev sets their
/// group and mode one after the other.
const BURST: Duration = Duration::from_millis(100);
/// When somebody else lists the readers once more, after each change ([`Readers::wait`]).
const LATE: Duration = Duration::from_secs(1);
/// How long a pcscd that went away is left alone, at first and at most: one that ends again and again is not to be
/// started again and again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// All places where tokens come and go.
#[derive(Debug)]
pub struct Arrivals {
    sockets: Vec<PathBuf>,
    cards: Option<Cards>,
}

impl Arrivals {
    pub(super) fn new(sockets: Vec<PathBuf>, cards: Option<Cards>) -> Self {
        Self { sockets, cards }
    }

    /// Calls `look` each time that something may have come or gone, once for a burst, for as long as it is polled.
    pub async fn follow(self, look: impl Fn()) {
        let change = Arc::new(Notify::new());
        let nodes = [Wanted::Prefix(DEVICES.into(), NODES)];
        let nodes = nodes.into_iter().chain(self.sockets.into_iter().map(Wanted::Path)).collect();
        tokio::join!(files(nodes, &change), cards(self.cards, &change), told(&change, look));
    }
}

async fn told(change: &Notify, look: impl Fn()) {
    loop {
        change.notified().await;
        tokio::time::sleep(BURST).await;
        // What came meanwhile will be seen by this look.
        let _same_burst = futures_util::FutureExt::now_or_never(change.notified());
        look();
    }
}

/// A watch, or none where the system refuses: then tokens are found when somebody asks for them, as ever.
fn watch(wanted: Vec<Wanted>) -> Option<AsyncFd<Watch>> {
    let watch = Watch::new(wanted).and_then(|watch| {
        for directory in watch.unwatched() {
            tracing::warn!(directory = %directory.display(), "may not be watched: what comes there goes unnoticed");
        }
        register(watch)
    });
    watch.inspect_err(|error| tracing::warn!(%error, "tokens come and go unnoticed: no inotify")).ok()
}

#[expect(unsafe_code, reason = "tokio asks for a promise that the type keeps")]
fn register(watch: Watch) -> std::io::Result<AsyncFd<Watch>> {
    // SAFETY: a Watch owns one descriptor from when it is made until it is dropped, and stays inside the AsyncFd.
    let registered = unsafe { AsyncFd::register_with_interest(watch, Interest::READABLE) };
    Ok(registered?)
}

/// Returns when something that is wanted may have happened.
async fn happened(watch: &mut AsyncFd<Watch>) {
    loop {
        let Ok(mut ready) = watch.readable_mut().await else { return std::future::pending().await };
        let happened = ready.get_inner_mut().take();
        ready.clear_ready();
        if happened {
            return;
        }
    }
}

async fn files(wanted: Vec<Wanted>, change: &Notify) {
    let Some(mut watch) = watch(wanted) else { return };
    loop {
        happened(&mut watch).await;
        change.notify_one();
    }
}

async fn cards(cards: Option<Cards>, change: &Notify) {
    let Some(cards) = cards else { return };
    let mut service = watch(vec![Wanted::Path(service_socket())]);
    let mut pause = PAUSE.0;
    loop {
        let begun = Instant::now();
        let error = readers(&cards, change).await;
        if error == ReaderError::Stopped {
            // It was there, and may be again at once.
            change.notify_one();
            pause = if begun.elapsed() > PAUSE.1 { PAUSE.0 } else { pause };
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE.1);
        } else {
            tracing::debug!(%error, "no cards until pcscd's socket changes");
            let Some(service) = &mut service else { return };
            happened(service).await;
            pause = PAUSE.0;
        }
    }
}

/// Follows the readers by one connection to pcscd, until that ends.
async fn readers(cards: &Cards, change: &Notify) -> ReaderError {
    let (tell, mut told) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name("readers".into()).stack_size(128 * 1024);
    if thread.spawn(move || announce(&tell)).is_err() {
        return ReaderError::Failed(0);
    }
    let (mut now, mut waits) = (Vec::new(), None);
    loop {
        let late = async {
            match &waits {
                Some(_) => tokio::time::sleep(LATE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = told.recv() => match told {
                Some(Ok((readers, interrupt))) => {
                    change.notify_one();
                    (now, waits) = (readers, Some(interrupt));
                }
                Some(Err(error)) => return error,
                None => return ReaderError::Stopped,
            },
            () = late => {
                let differs = cards.readers().await.is_ok_and(|readers| readers != now);
                if let Some(waits) = waits.take().filter(|_| differs) {
                    waits.interrupt();
                }
            }
        }
    }
}

type Told = Result<(Vec<Reader>, Interrupt), ReaderError>;

/// The thread. It sleeps in pcscd's library, and ends with the connection, or when nobody listens any more.
fn announce(tell: &mpsc::UnboundedSender<Told>) {
    let run = || -> Result<(), ReaderError> {
        let mut readers = Readers::connect()?;
        let mut now = readers.list()?;
        while tell.send(Ok((now, readers.interrupt()))).is_ok() {
            now = readers.wait()?;
        }
        Ok(())
    };
    if let Err(error) = run() {
        let _nobody_listens = tell.send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[tokio::test]
    async fn each_burst_at_a_tokens_socket_is_told() {
        let folder = Folder(std::env::temp_dir().join(format!("rootseal-arrivals-{}", std::process::id())));
        std::fs::create_dir(&folder.0).unwrap();
        let socket = folder.0.join("token.sock");
        let (looks, mut looked) = mpsc::unbounded_channel();
        let arrivals = Arrivals::new(vec![socket.clone()], None);
        let follows = tokio::spawn(arrivals.follow(move || looks.send(()).unwrap()));
        // Until the watches are set.
        tokio::task::yield_now().await;
        for _ in 0..2 {
            for _ in 0..20 {
                drop(UnixListener::bind(&socket).unwrap());
                std::fs::remove_file(&socket).unwrap();
            }
            looked.recv().await.unwrap();
            assert!(looked.try_recv().is_err(), "once for all of them");
        }
        follows.abort();
    }
}
