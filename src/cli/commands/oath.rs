//! `oath`.

use super::{Session, input};
use crate::cli::args::OathCommand;
use crate::cli::error::Error;
use crate::cli::handover;
use crate::cli::output;
use crate::cli::refusal::Refusal;
use crate::cli::terminal::Terminal;
use crate::dbus::proxy::OathPasswordOptions;
use crate::secret::Pin;
use std::path::Path;

pub(super) async fn run(session: &mut Session, command: OathCommand) -> Result<(), Error> {
    let id = session.options.token.clone();
    match command {
        OathCommand::List => {
            session.may_ask().await?;
            let accounts = session.daemon.oath_token(id).await?.oath_accounts().await?;
            let heads = ["NAME", "KIND", "ALGORITHM", "PERIOD"];
            output::listing(session.options.json, &accounts, heads, |account| {
                let period = if account.period == 0 { String::new() } else { account.period.to_string() };
                [account.name.clone(), account.kind.clone(), account.algorithm.clone(), period]
            })
        }
        OathCommand::Rename { name, new_name } => {
            session.may_ask().await?;
            session.daemon.oath_token(id).await?.rename_oath(&name, &new_name).await?;
            output::confirm("Renamed.");
            Ok(())
        }
        OathCommand::Remove { name } => {
            session.may_ask().await?;
            session.daemon.oath_token(id).await?.remove_oath(&name).await?;
            output::confirm("Removed.");
            Ok(())
        }
        OathCommand::SetPassword { new_password_file, clear } => {
            let password = if clear { None } else { Some(new_password(new_password_file.as_deref()).await?) };
            session.may_ask().await?;
            let password = match password {
                Some(password) => Some(password.with(handover::inlet)?.into()),
                None => None,
            };
            let options = OathPasswordOptions { password, clear: clear.then_some(true) };
            session.daemon.oath_token(id).await?.set_oath_password(options).await?;
            output::confirm(if clear { "The password is taken away." } else { "The password is set." });
            Ok(())
        }
    }
}

/// From its file, or typed twice.
async fn new_password(file: Option<&Path>) -> Result<Pin, Error> {
    if let Some(path) = file {
        let bytes = input::read(path)?;
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() || text.contains(&b'\n') {
            return Err(Error::Usage(format!("{} must hold a password, on one line", path.display())));
        }
        return Ok(Pin::copy_from(text));
    }
    let terminal = Terminal::open().ok_or(Error::Refused(Refusal::NoTerminalForNew))?;
    let first = terminal.ask("New password of the token's OATH accounts (not its PIN): ").await?;
    let second = terminal.ask("The same password again (not the PIN): ").await?;
    if first.with(|first| second.with(|second| first != second)) {
        return Err(Error::Usage("the two passwords differ: try again".to_owned()));
    }
    Ok(first)
}
