//! `profile`.

use super::Session;
use crate::cli::args::ProfileCommand;
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::proxy::AddProfileOptions;

pub(super) async fn run(session: &mut Session, command: ProfileCommand) -> Result<(), Error> {
    session.may_ask().await?;
    let manager = session.daemon.manager().await?;
    match command {
        ProfileCommand::Add { name, account, duration, region } => {
            manager.add_profile(&name, AddProfileOptions { account, duration, region }).await?;
            output::confirm(&format!(
                "Added the profile {name}: rootseal aws-config {name} >> ~/.aws/config"
            ));
            Ok(())
        }
        ProfileCommand::List => {
            let profiles = manager.profiles().await?;
            let heads = ["NAME", "ACCOUNT", "ACCOUNT ID", "REQUEST", "SECONDS", "REGION"];
            output::listing(session.options.json, &profiles, heads, |profile| {
                [
                    profile.name.clone(),
                    profile.account.clone(),
                    profile.account_id.clone(),
                    profile.request.clone(),
                    profile.duration.to_string(),
                    profile.region.clone(),
                ]
            })
        }
        ProfileCommand::Remove { name } => {
            manager.remove_profile(&name).await?;
            output::confirm(&format!("Removed the profile {name}."));
            Ok(())
        }
    }
}
