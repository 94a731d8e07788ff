//! `org.rootseal.Operation1`: for its creator alone, until it ends.

use super::door::{Door, while_there};
use super::error::Error;
use super::names::OPERATIONS_PATH;
use super::options::{Dict, entry};
use super::pipe;
use crate::service;
use crate::service::GiveUp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use zbus::message::Header;
use zbus::{Connection, interface};
use zbus::{Fd, OwnedFd, OwnedObjectPath};

/// How long a client may take to its first step: others that ask for the same wait for it.
const BEGIN: Duration = Duration::from_secs(10);
/// How long a client may take from its first step to its last.
const DEADLINE: Duration = Duration::from_mins(4);

static NUMBER: AtomicU64 = AtomicU64::new(1);

pub(super) struct Operation {
    door: Arc<Door>,
    path: OwnedObjectPath,
    token: Option<String>,
    begun: Arc<AtomicBool>,
    inner: Mutex<service::Operation>,
}

/// Makes the operation's object, which goes when it ends, at its deadline, or with its creator.
pub(super) async fn publish(
    door: &Arc<Door>,
    connection: &Connection,
    operation: service::Operation,
    token: Option<String>,
) -> Result<OwnedObjectPath, Error> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = OwnedObjectPath::try_from(format!("{OPERATIONS_PATH}/{number}"))
        .map_err(|_unwritable| Error::failed("the operation has no path"))?;
    let creator = operation.caller().clone();
    let begun = Arc::new(AtomicBool::new(false));
    let object = Operation {
        door: Arc::clone(door),
        path: path.clone(),
        token,
        begun: Arc::clone(&begun),
        inner: Mutex::new(operation),
    };
    connection.object_server().at(&path, object).await?;
    let (connection, at) = (connection.clone(), path.clone());
    tokio::spawn(async move {
        let gone = tokio::time::timeout(BEGIN, creator.gone()).await.is_ok();
        if !gone && begun.load(Ordering::Relaxed) {
            let _whichever_comes_first = tokio::time::timeout(DEADLINE, creator.gone()).await;
        }
        remove(&connection, &at).await;
    });
    Ok(path)
}

async fn remove(connection: &Connection, path: &OwnedObjectPath) {
    let _gone_already = connection.object_server().remove::<Operation, _>(path).await;
}

impl Operation {
    /// The operation, if this is its creator and no other step is under way.
    async fn mine(
        &self,
        header: &Header<'_>,
        connection: &Connection,
    ) -> Result<tokio::sync::MutexGuard<'_, service::Operation>, Error> {
        let caller = self.door.caller(header, connection).await?;
        let inner = self.inner.try_lock().map_err(|_under_way| Error::from(service::Error::Busy))?;
        if inner.caller().connection == caller.connection { Ok(inner) } else { Err(Error::not_authorized()) }
    }
}

#[interface(name = "org.rootseal.Operation1")]
impl Operation {
    async fn next(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedFd, Error> {
        let mut operation = self.mine(&header, connection).await?;
        self.begun.store(true, Ordering::Relaxed);
        let caller = operation.caller().clone();
        let prompter = self.door.prompter(&caller, connection);
        let request = while_there(&caller, operation.next(&prompter, self.token.as_deref())).await;
        match request {
            Ok(request) => Ok(pipe::holding(&request)?.into()),
            Err(error) => {
                drop(operation);
                remove_later(connection, &self.path);
                Err(error)
            }
        }
    }

    async fn finish(
        &self,
        status: u16,
        response: OwnedFd,
        out: Fd<'_>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        let mut operation = self.mine(&header, connection).await?;
        let out = pipe::Out::new(out)?;
        remove_later(connection, &self.path);
        let reply = pipe::read(response.into()).await?;
        let (credentials, expiration) = operation.finish(status, &reply).await?;
        out.session(&credentials).await?;
        Ok(Dict::from([entry("expiration", expiration)?]))
    }

    async fn abort(
        &self,
        reason: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let mut operation = self.mine(&header, connection).await?;
        let why = match reason.as_str() {
            "unreachable" => GiveUp::Unreachable,
            "tls" => GiveUp::Tls,
            "cancelled" => GiveUp::Cancelled,
            _ => return Err(Error::invalid("the reason must be unreachable, tls or cancelled")),
        };
        remove_later(connection, &self.path);
        operation.abort(why).await;
        Ok(())
    }
}

/// An object cannot be removed from within its own method: the server waits for the method to return.
fn remove_later(connection: &Connection, path: &OwnedObjectPath) {
    let (connection, path) = (connection.clone(), path.clone());
    tokio::spawn(async move { remove(&connection, &path).await });
}
