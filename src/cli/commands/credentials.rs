//! `credentials`: what every AWS SDK calls. On a hit, one call and no more.

use super::Session;
use crate::cli::error::Error;
use crate::cli::handover::{self, Outlet};
use crate::cli::https::{self, HttpsError, SignedRequest};
use crate::cli::output;
use crate::dbus::proxy::CredentialsOptions;
use rustix::fd::AsFd as _;
use zbus::OwnedObjectPath;

/// The Java SDK takes no more.
const LONGEST_SESSION: usize = 64_000;
const LONGEST_REQUEST: usize = 256 * 1024;

pub(super) async fn run(session: &mut Session, profile: &str) -> Result<(), Error> {
    let options = CredentialsOptions {
        token: session.options.named(),
        reason: session.options.reason.clone(),
        endpoint: variable(["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]),
        region: variable(["AWS_REGION", "AWS_DEFAULT_REGION"]),
        // Without a surface of our own, an agent of the user (a tray) may still show the prompt.
        no_prompt: session.options.no_prompt.then_some(true),
    };
    let outlet = Outlet::new()?;
    let manager = session.daemon.manager().await?;
    let reply = manager.get_credentials(profile, options, outlet.write_end().into()).await?;
    drop(manager);
    let Some(operation) = reply.operation else {
        return output::secret(&outlet.read(LONGEST_SESSION)?);
    };
    let token = session.options.token.clone();
    session.ask_on(true, token).await?;
    fetch(session, operation).await
}

/// Takes the signed request out of the door, and what AWS answers back in.
async fn fetch(session: &Session, operation: OwnedObjectPath) -> Result<(), Error> {
    let operation = session.daemon.operation(operation).await?;
    let request = signed_request(&operation.next().await?)?;
    // On a thread of its own, so that a signal is heard meanwhile.
    let sent = tokio::task::spawn_blocking(move || https::send(&request)).await;
    let answer = match sent.map_err(|error| Error::Protocol(error.to_string()))? {
        Ok(answer) => answer,
        Err(error) => {
            // The daemon would find out at its deadline; the sentence for the user is ours in any case.
            let _told = operation.abort(HttpsError::abort_reason(&error)).await;
            return Err(error.into());
        }
    };
    let response = handover::inlet(&answer.body)?;
    let outlet = Outlet::new()?;
    operation.finish(answer.status, response.as_fd().into(), outlet.write_end().into()).await?;
    output::secret(&outlet.read(LONGEST_SESSION)?)
}

fn signed_request(source: &zbus::OwnedFd) -> Result<SignedRequest, Error> {
    let bytes = handover::read_all(source, LONGEST_REQUEST)?;
    // The parser's words might quote the request, which is good for a session: they go nowhere.
    serde_json::from_slice(&bytes).map_err(|_quotes| Error::Protocol("the signed request".to_owned()))
}

fn variable<const N: usize>(names: [&str; N]) -> Option<String> {
    names.into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}
