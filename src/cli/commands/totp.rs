//! `totp`.

use super::{Session, account, input};
use crate::cli::args::{SeedSource, TotpCommand};
use crate::cli::error::Error;
use crate::cli::handover::{self, Outlet};
use crate::cli::output;
use crate::dbus::proxy::{AddTotpOptions, GetTotpOptions};
use rustix::fd::AsFd as _;
use serde::Serialize;
use std::path::PathBuf;

/// Six digits, with room for a line end.
const LONGEST_CODE: usize = 16;

#[derive(Serialize)]
struct DeviceRow {
    account: String,
    mfa_serial: String,
}

pub(super) async fn run(session: &mut Session, command: TotpCommand) -> Result<(), Error> {
    match command {
        TotpCommand::Add { account, source, mfa_serial } => add(session, &account, source, mfa_serial).await,
        TotpCommand::Code { account, mfa_serial } => code(session, &account, mfa_serial).await,
        TotpCommand::List { account } => {
            session.may_ask().await?;
            let accounts = account::rows(session, account.as_deref()).await?;
            let devices: Vec<DeviceRow> = accounts
                .into_iter()
                .flat_map(|account| {
                    let row = move |mfa_serial| DeviceRow { account: account.name.clone(), mfa_serial };
                    account.mfa.into_iter().map(row)
                })
                .collect();
            output::listing(session.options.json, &devices, ["ACCOUNT", "MFA DEVICE"], |device| {
                [device.account.clone(), device.mfa_serial.clone()]
            })
        }
    }
}

impl SeedSource {
    /// The API's name for the format, and the file.
    fn chosen(self) -> Option<(&'static str, PathBuf)> {
        let uri = self.uri.map(|path| ("uri", path));
        let base32 = || self.base32.map(|path| ("base32", path));
        let qr = || self.qr.map(|path| ("qr", path));
        uri.or_else(base32).or_else(qr)
    }
}

async fn add(
    session: &mut Session,
    account: &str,
    source: SeedSource,
    mfa_serial: Option<String>,
) -> Result<(), Error> {
    let Some((format, path)) = source.chosen() else {
        return Err(Error::Usage("name one of --uri-file, --secret-file and --qr-file".to_owned()));
    };
    let seed = handover::inlet(&input::read(&path)?)?;
    session.may_ask().await?;
    let account = session.daemon.account(account).await?;
    let options = AddTotpOptions { format: format.to_owned(), mfa_serial };
    let reply = account.add_totp(options, seed.as_fd().into()).await?;
    if session.options.json {
        output::json(&reply)?;
    } else {
        output::lines([reply.mfa_serial])?;
    }
    if reply.weak {
        output::note("rootseal: the seed is sealed, but it has fewer than 128 bits: enrol a new device soon");
    }
    Ok(())
}

async fn code(session: &mut Session, account: &str, mfa_serial: Option<String>) -> Result<(), Error> {
    session.may_ask().await?;
    let account = session.daemon.account(account).await?;
    let outlet = Outlet::new()?;
    let until = account.get_totp(GetTotpOptions { mfa_serial }, outlet.write_end().into()).await?;
    output::secret(&outlet.read(LONGEST_CODE)?)?;
    output::confirm(&format!("Valid for {} s.", until.saturating_sub(output::now())));
    Ok(())
}
