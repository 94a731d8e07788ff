//! `agent`: shows the prompts of all programs of this user, and answers them.

use super::Session;
use crate::cli::agent::{Agent, Files, Serves};
use crate::cli::console::Console;
use crate::cli::error::Error;
use crate::cli::notifications::Notifications;
use crate::cli::pin::PinFiles;
use crate::cli::pinentry::Pinentry;
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refuser;
use crate::cli::surface::Surface;

pub(super) async fn run(session: &mut Session, notify: bool) -> Result<(), Error> {
    if session.options.no_prompt {
        return Err(Refusal::NoPrompt.into());
    }
    let options = &session.options;
    if !options.pin_files.is_empty() || options.token.is_some() || options.recovery_code_file.is_some() {
        let why = "an agent answers for other programs, and these are for one command";
        return Err(Error::Usage(format!("{why}: leave --pin-file, --recovery-code-file and --token out")));
    }
    let (refuser, refusals) = Refuser::new();
    let console = Console::open(&refuser);
    let mut surfaces = Vec::new();
    match (&console, Pinentry::find(&refuser)) {
        (Some(console), _) => surfaces.push(Surface::Console(console.clone())),
        (None, Some(pinentry)) => surfaces.push(Surface::Pinentry(pinentry)),
        (None, None) => {}
    }
    if notify {
        let found = Notifications::find(&refuser).await;
        let nobody = || Refusal::Notification("nobody on the session bus shows them".to_owned());
        surfaces.push(Surface::Notifications(found.ok_or_else(nobody)?));
    }
    if surfaces.is_empty() {
        return Err(Refusal::NoSurface.into());
    }
    let files = Files { pins: PinFiles::new(Vec::new()), code: None };
    let mut agent = Agent::register(&session.daemon, Serves::User, surfaces, refusals, files, None).await?;
    let keys = async {
        match &console {
            Some(console) => console.run().await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        ended = keys => ended.map_err(Error::from),
        gone = session.daemon.gone() => Err(gone),
        () = agent.lost() => Err(Error::Gone("the connection is closed".to_owned())),
    };
    // What it refused, it refused for others.
    let _refused = agent.finish().await;
    outcome
}
