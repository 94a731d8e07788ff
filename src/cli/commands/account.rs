//! `account`.

use super::Session;
use crate::cli::args::AccountCommand;
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::proxy::{AccountProperties, AccountRow, AddAccountOptions};

pub(super) async fn run(session: &mut Session, command: AccountCommand) -> Result<(), Error> {
    session.may_ask().await?;
    match command {
        AccountCommand::Add { name, account_id, partition, user, email } => {
            let options = AddAccountOptions { account_id, partition, user, email };
            session.daemon.manager().await?.add_account(&name, options).await?;
            output::confirm(&format!("Added the account {name}."));
            Ok(())
        }
        AccountCommand::List => {
            let accounts = session.daemon.manager().await?.accounts().await?;
            let heads = ["NAME", "ACCOUNT ID", "USER", "KEYS", "MFA", "EMAIL"];
            output::listing(session.options.json, &accounts, heads, |account| {
                let user = who(&account.user);
                let keys = account.access_keys.len().to_string();
                let mfa = account.mfa.len().to_string();
                [account.name.clone(), account.account_id.clone(), user, keys, mfa, account.email.clone()]
            })
        }
        AccountCommand::Show { name } => show(session, &name).await,
        AccountCommand::Remove { name } => {
            session.daemon.manager().await?.remove_account(&name, session.token_options()).await?;
            output::confirm(&format!("Removed the account {name}."));
            Ok(())
        }
    }
}

async fn show(session: &Session, name: &str) -> Result<(), Error> {
    let path = session.daemon.manager().await?.find_account(name).await?;
    let account: AccountProperties =
        session.daemon.properties(path.as_str(), "org.rootseal.Account1").await?;
    if session.options.json {
        return output::json(&account);
    }
    let mut lines = vec![
        format!("name        {}", account.name),
        format!("account id  {}", account.account_id),
        format!("partition   {}", account.partition),
        format!("user        {}", who(&account.user)),
    ];
    if !account.email.is_empty() {
        lines.push(format!("email       {}", account.email));
    }
    lines.extend(account.access_key_ids.iter().map(|id| format!("access key  {id}")));
    lines.extend(account.mfa_serials.iter().map(|serial| format!("mfa         {serial}")));
    output::lines(lines)
}

fn who(user: &str) -> String {
    if user.is_empty() { "root".to_owned() } else { user.to_owned() }
}

/// The accounts, or the one of that name.
pub(super) async fn rows(session: &Session, name: Option<&str>) -> Result<Vec<AccountRow>, Error> {
    let mut accounts = session.daemon.manager().await?.accounts().await?;
    let Some(name) = name else { return Ok(accounts) };
    accounts.retain(|account| account.name == name);
    if accounts.is_empty() {
        return Err(Error::Missing(format!(
            "there is no account named {name}: `rootseal account list` shows them"
        )));
    }
    Ok(accounts)
}
