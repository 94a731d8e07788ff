//! logind, on the system bus: the machine that is about to sleep or stop, and what becomes of its users' sessions.
//! Where there is no bus or no logind, everything else goes on without, and they are waited for.

mod attend;
mod sessions;

use crate::service::Service;
use attend::attend;
use futures_util::StreamExt as _;
use sessions::Sessions;
use std::sync::Arc;
use std::time::Duration;
use zbus::connection::{Builder, Connection};
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, OwnedUniqueName};

const LOGIND: &str = "org.freedesktop.login1";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until a bus that is not there is looked for again: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// Tells the service of what happens to machine and sessions, for as long as it is polled.
pub async fn follow_logind(service: Arc<Service>) {
    let mut news = News::default();
    let mut sessions = Sessions::default();
    let mut pause = PAUSE.0;
    loop {
        match connect().await {
            Ok(bus) => {
                pause = PAUSE.0;
                if let Err(error) = follow(&bus, &service, &mut sessions, &mut news).await {
                    tracing::debug!(%error, "the system bus was lost");
                }
                news.missing("the system bus was lost");
            }
            Err(error) => {
                tracing::debug!(%error, "no system bus");
                news.missing("there is no system bus");
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE.1);
    }
}

async fn connect() -> zbus::Result<Connection> {
    let builder = Builder::system().method_timeout(PATIENCE);
    let built = tokio::time::timeout(PATIENCE, builder.build()).await;
    built.unwrap_or_else(|_elapsed| Err(zbus::Error::Handshake("nothing was said".into())))
}

/// Follows each logind that comes, one after another, until the bus is lost.
async fn follow(
    bus: &Connection,
    service: &Service,
    sessions: &mut Sessions,
    news: &mut News,
) -> zbus::Result<()> {
    let names = DBusProxy::new(bus).await?;
    let mut changes = names.receive_name_owner_changed_with_args(&[(0, LOGIND)]).await?;
    loop {
        let attended = async {
            if let Some(owner) = owner(&names).await? {
                attend(bus, &owner, service, sessions, news).await
            } else {
                news.missing("there is no logind");
                std::future::pending().await
            }
        };
        tokio::select! {
            change = changes.next() => if change.is_none() { return Ok(()) },
            ended = attended => {
                // It may be going just now, and the bus tells so next.
                if let Err(error) = ended {
                    tracing::debug!(%error, "logind does not answer");
                    news.missing("logind does not answer");
                }
                news.missing("logind is not heard any more");
                tokio::select! {
                    change = changes.next() => if change.is_none() { return Ok(()) },
                    () = tokio::time::sleep(PATIENCE) => {}
                }
            }
            () = bus.closed() => return Ok(()),
        }
    }
}

async fn owner(names: &DBusProxy<'_>) -> zbus::Result<Option<OwnedUniqueName>> {
    match names.get_name_owner(BusName::try_from(LOGIND)?).await {
        Ok(owner) => Ok(Some(owner)),
        Err(zbus::fdo::Error::NameHasNoOwner(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is said of it: each change once.
#[derive(Default)]
struct News {
    missing: bool,
}

impl News {
    fn missing(&mut self, what: &str) {
        if !std::mem::replace(&mut self.missing, true) {
            tracing::warn!(
                "{what}: the vault is not locked when the machine sleeps, a session locks or users switch"
            );
        }
    }

    fn there(&mut self) {
        self.missing = false;
        tracing::info!("logind is followed: the vault locks with the machine and its sessions");
    }
}
