//! `org.rootseal.Policy1`

use super::door::Door;
use super::error::Error;
use super::options::{Dict, Options, entry};
use super::request::Request;
use crate::service::{Act, Policy as Rules, PolicyChange};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::{Connection, OwnedVariant, fdo, interface};

pub(super) struct Policy(pub(super) Arc<Door>);

#[interface(name = "org.rootseal.Policy1")]
impl Policy {
    async fn change(
        &self,
        rules: HashMap<String, OwnedVariant>,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let mut rules = Options::new(rules);
        let change = PolicyChange {
            demand_reason: rules.choice("demand_reason")?,
            hours: rules.list("hours_utc")?.map(|hours| PolicyChange::hours(&hours)).transpose()?,
            longest_session: rules.number("longest_session")?,
            unlock_uids: rules.numbers("unlock_uids")?,
            use_uids: rules.numbers("use_uids")?,
            manage_uids: rules.numbers("manage_uids")?,
        };
        rules.end()?;
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Manage, &mut options, &header, connection).await?;
        options.end()?;
        let who = request.who();
        request.run(self.0.service.set_policy(change, who)).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn vault(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<Dict> {
        self.0.admit(header, connection).await?;
        let rules = self.0.service.vaults_policy().await;
        dict(&rules.map_err(|error| fdo::Error::Failed(error.to_string()))?)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn machine(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<Dict> {
        self.0.admit(header, connection).await?;
        dict(self.0.service.own_policy())
    }
}

fn dict(rules: &Rules) -> fdo::Result<Dict> {
    let Rules { demand_reason, hours, longest_session, unlock_uids, use_uids, manage_uids } = rules;
    let hours: Vec<_> = hours.iter().map(ToString::to_string).collect();
    let entries = [
        entry("demand_reason", *demand_reason),
        entry("hours_utc", hours),
        entry("longest_session", longest_session.unwrap_or(0)),
        entry("unlock_uids", unlock_uids.clone()),
        entry("use_uids", use_uids.clone()),
        entry("manage_uids", manage_uids.clone()),
    ];
    let unwritable = |_unwritable| fdo::Error::Failed("the reply cannot be written".into());
    entries.into_iter().collect::<Result<_, _>>().map_err(unwritable)
}
