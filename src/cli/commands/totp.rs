//! `totp`.

use super::{Session, account, input};
use crate::cli::args::{SeedSource, TotpCommand};
use crate::cli::error::Error;
use crate::cli::handover::{self, Outlet};
use crate::cli::output;
use crate::dbus::proxy::{AddTotpOptions, GetTotpOptions, RemoveTotpOptions};
use rustix::fd::{AsFd as _, OwnedFd};

/// Six digits, with room for a line end.
const LONGEST_CODE: usize = 16;

pub(super) async fn run(session: &mut Session, command: TotpCommand) -> Result<(), Error> {
    match command {
        TotpCommand::Add { account, source, mfa_serial, on_tokens, in_vault, no_touch } => {
            let seed = source.read()?;
            // Other tokens than the one that consents may want their passwords.
            if on_tokens.is_empty() {
                session.may_ask().await?;
            } else {
                session.may_ask_all().await?;
            }
            let options = AddTotpOptions {
                format: seed.format.to_owned(),
                mfa_serial,
                on_token: (!on_tokens.is_empty()).then_some(on_tokens),
                in_vault: in_vault.then_some(true),
                touch: no_touch.then_some(false),
                token: session.options.named(),
                reason: session.options.reason.clone(),
            };
            add(session, &account, &seed, options).await
        }
        TotpCommand::Code { account, mfa_serial } => code(session, &account, mfa_serial).await,
        TotpCommand::List { account } => list(session, account.as_deref()).await,
        TotpCommand::Remove { account, mfa_serial, from_tokens } => {
            session.may_ask_all().await?;
            let account = session.daemon.account(&account).await?;
            let from_token = (!from_tokens.is_empty()).then_some(from_tokens);
            let token = session.options.token.clone();
            let reply = account
                .remove_totp(RemoveTotpOptions {
                    mfa_serial,
                    from_token,
                    token,
                    reason: session.options.reason.clone(),
                })
                .await?;
            output::confirm("Removed the seed.");
            if !reply.left_on.is_empty() {
                output::note(&format!(
                    "rootseal: the seed is forgotten here, but still on {}: remove it there with `rootseal oath remove`",
                    reply.left_on.join(" and ")
                ));
            }
            Ok(())
        }
    }
}

async fn list(session: &mut Session, name: Option<&str>) -> Result<(), Error> {
    session.may_ask().await?;
    let mut devices = session.daemon.manager().await?.mfa_devices().await?;
    if let Some(name) = name {
        // For its sentence where there is none.
        account::rows(session, Some(name)).await?;
        devices.retain(|device| device.account == name);
    }
    let heads = ["ACCOUNT", "MFA DEVICE", "SEED IN"];
    output::listing(session.options.json, &devices, heads, |device| {
        let vault = device.in_vault.then_some("vault");
        let tokens = device.tokens.iter().map(|copy| &*copy.name);
        let places: Vec<_> = vault.into_iter().chain(tokens).collect();
        [device.account.clone(), device.mfa_serial.clone(), places.join(", ")]
    })
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

async fn add(session: &Session, account: &str, seed: &Seed, options: AddTotpOptions) -> Result<(), Error> {
    let account = session.daemon.account(account).await?;
    let reply = account.add_totp(options, seed.inlet.as_fd().into()).await?;
    if session.options.json {
        output::json(&reply)?;
    } else {
        output::lines([reply.mfa_serial])?;
    }
    if reply.weak {
        output::note("rootseal: the seed is taken, but it has fewer than 128 bits: enrol a new device soon");
    }
    Ok(())
}

async fn code(session: &mut Session, account: &str, mfa_serial: Option<String>) -> Result<(), Error> {
    session.may_ask().await?;
    let account = session.daemon.account(account).await?;
    let outlet = Outlet::new()?;
    let until = account
        .get_totp(
            GetTotpOptions {
                mfa_serial,
                token: session.options.named(),
                reason: session.options.reason.clone(),
            },
            outlet.write_end().into(),
        )
        .await?;
    output::secret(&outlet.read(LONGEST_CODE)?)?;
    output::confirm(&format!("Valid for {} s.", until.saturating_sub(output::now())));
    Ok(())
}
