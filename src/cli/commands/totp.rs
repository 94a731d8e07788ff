//! `totp`.

use super::{Session, account, input};
use crate::cli::args::{SeedSource, TotpCommand};
use crate::cli::error::Error;
use crate::cli::handover::{self, Outlet};
use crate::cli::output;
use crate::dbus::proxy::{AddTotpOptions, GetTotpOptions};
use rustix::fd::{AsFd as _, OwnedFd};
use serde::Serialize;

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

/// A seed on its way to the daemon.
struct Seed {
    /// The API's name for it.
    format: &'static str,
    inlet: OwnedFd,
}

impl SeedSource {
    /// Reads what was named. A picture is decoded here: one that was made to crash or to occupy its reader
    /// never meets the daemon.
    fn read(self) -> Result<Seed, Error> {
        let (format, inlet) = match (self.uri, self.base32, self.qr) {
            (Some(path), _, _) => ("uri", handover::inlet(&input::read(&path)?)?),
            (None, Some(path), _) => ("base32", handover::inlet(&input::read(&path)?)?),
            (None, None, Some(path)) => {
                let picture = input::read(&path)?;
                let uri = crate::otp::read_png(&picture).map_err(|error| Error::Usage(error.to_string()))?;
                ("uri", uri.with(handover::inlet)?)
            }
            (None, None, None) => {
                return Err(Error::Usage("name one of --uri-file, --secret-file and --qr-file".to_owned()));
            }
        };
        Ok(Seed { format, inlet })
    }
}

async fn add(
    session: &mut Session,
    account: &str,
    source: SeedSource,
    mfa_serial: Option<String>,
) -> Result<(), Error> {
    let seed = source.read()?;
    session.may_ask().await?;
    let account = session.daemon.account(account).await?;
    let options =
        AddTotpOptions { format: seed.format.to_owned(), mfa_serial, token: session.options.token.clone() };
    let reply = account.add_totp(options, seed.inlet.as_fd().into()).await?;
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
    let until = account
        .get_totp(
            GetTotpOptions { mfa_serial, token: session.options.token.clone() },
            outlet.write_end().into(),
        )
        .await?;
    output::secret(&outlet.read(LONGEST_CODE)?)?;
    output::confirm(&format!("Valid for {} s.", until.saturating_sub(output::now())));
    Ok(())
}
