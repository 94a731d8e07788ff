//! One file for each noun; each command calls the daemon and prints what it answers.

mod account;
mod agent;
mod audit;
mod aws_config;
mod backup;
mod credentials;
mod doctor;
mod drill;
mod input;
mod key;
mod key_choice;
mod keyslot;
mod oath;
mod policy;
mod profile;
mod quorum;
mod status;
mod totp;
mod vault;

use crate::cli::address::{self, Choice};
use crate::cli::agent::{Agent, Files, Serves};
use crate::cli::args::{Cli, Command, Options};
use crate::cli::daemon::Daemon;
use crate::cli::error::Error;
use crate::cli::pin::PinFiles;
use crate::cli::refusal::Refusal;
use crate::cli::refuser::Refuser;
use crate::cli::surface::Surface;
use crate::dbus::names::{OATH_ID, RECOVERY_ID};
use crate::dbus::proxy::TokenOptions;

/// One command under way.
pub(super) struct Session {
    options: Options,
    choice: Choice,
    daemon: Daemon,
    agent: Option<Agent>,
}

/// Runs a command to its end.
pub(super) async fn run(cli: Cli) -> Result<(), Error> {
    let variable = std::env::var("ROOTSEAL_ADDRESS").ok();
    let choice = address::choose(cli.options.address.as_deref(), variable.as_deref())?;
    let daemon = match (Daemon::connect(&choice.address).await, &cli.command) {
        (Err(error), Command::Doctor { time_source }) => {
            return doctor::without_daemon(&error, cli.options.json, time_source.as_deref()).await;
        }
        (daemon, _) => daemon?,
    };
    let mut session = Session { options: cli.options, choice, daemon, agent: None };
    let outcome = dispatch(&mut session, cli.command).await;
    session.settle(outcome).await
}

async fn dispatch(session: &mut Session, command: Command) -> Result<(), Error> {
    match command {
        Command::Init { label, holder, recovery_code_out, key } => {
            vault::init(session, label, holder, recovery_code_out, key).await
        }
        Command::Status => status::run(session).await,
        Command::Unlock => vault::unlock(session).await,
        Command::Lock => vault::lock(session).await,
        Command::Token(list) => vault::tokens(session, &list).await,
        Command::Keyslot(command) => keyslot::run(session, command).await,
        Command::Quorum(command) => quorum::run(session, command).await,
        Command::Policy(command) => policy::run(session, command).await,
        Command::Account(command) => account::run(session, command).await,
        Command::Key(command) => key::run(session, command).await,
        Command::Totp(command) => totp::run(session, command).await,
        Command::Oath(command) => oath::run(session, command).await,
        Command::Profile(command) => profile::run(session, command).await,
        Command::Credentials { profile } => credentials::run(session, &profile).await,
        Command::AwsConfig { profile, region } => aws_config::run(session, &profile, region).await,
        Command::Vault(command) => vault::run(session, command).await,
        Command::Doctor { time_source } => doctor::run(session, time_source.as_deref()).await,
        Command::Drill { backup } => drill::run(session, backup).await,
        Command::Audit(command) => audit::run(session, command).await,
        Command::Agent { notify } => agent::run(session, notify).await,
    }
}

impl Session {
    /// What every request can say of itself.
    fn token_options(&self) -> TokenOptions {
        TokenOptions { token: self.options.named(), reason: self.options.reason.clone() }
    }

    /// Lets the daemon ask, if there is anywhere to ask.
    async fn may_ask(&mut self) -> Result<(), Error> {
        self.ask_on(false, self.options.token.clone()).await
    }

    /// As [`Self::may_ask`], also for other tokens than the one that was named: where one of them consents.
    async fn may_ask_all(&mut self) -> Result<(), Error> {
        self.ask_on(false, None).await
    }

    /// Of `credentials`, standard error is captured by the SDK: it counts as a surface only for somebody who wrote
    /// the command with a PIN file in it.
    async fn ask_on(&mut self, stderr_is_captured: bool, token: Option<String>) -> Result<(), Error> {
        if self.options.no_prompt {
            return Ok(());
        }
        let (refuser, refusals) = Refuser::new();
        let answers = !self.options.pin_files.is_empty() || self.options.recovery_code_file.is_some();
        let stderr_is_read = !stderr_is_captured || answers;
        let surfaces = Surface::find(stderr_is_read, &refuser).await;
        if surfaces.is_empty() {
            return Ok(());
        }
        // One that makes codes asks for no PIN: whichever keyslot's token is needed besides may. So may those that
        // consent beside a recovery code.
        let token = token.filter(|id| !id.starts_with(OATH_ID) && id != RECOVERY_ID);
        let pins = PinFiles::new(std::mem::take(&mut self.options.pin_files));
        let files = Files { pins, code: self.options.recovery_code_file.clone() };
        let agent = Agent::register(&self.daemon, Serves::Itself, surfaces, refusals, files, token);
        self.agent = Some(agent.await?);
        Ok(())
    }

    /// Puts the terminal in order, and lets our own refusal speak where the daemon only repeats it.
    async fn settle(mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        let refusal = match self.agent.take() {
            Some(agent) => agent.finish().await,
            None => None,
        };
        outcome.map_err(|error| {
            if let Error::Unreachable { why, .. } = error {
                return Error::Unreachable { place: self.choice.address.place(), why };
            }
            if self.options.no_prompt && error.is_no_prompt() {
                return Refusal::NoPrompt.into();
            }
            match refusal {
                Some(refusal) if refusal.is_left_to_others() && !error.is_no_prompt() => error,
                Some(refusal) if error.may_be_ours() => Error::Refused(refusal),
                Some(_) | None => error,
            }
        })
    }
}
