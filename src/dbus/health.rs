//! `org.rootseal.Health1`

use super::door::Door;
use super::error::Error;
use super::options::{Dict, entry};
use crate::service::Finding;
use std::sync::Arc;
use zbus::message::Header;
use zbus::{Connection, interface};

pub(super) struct Health(pub(super) Arc<Door>);

#[interface(name = "org.rootseal.Health1")]
impl Health {
    async fn diagnose(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<Dict>, Error> {
        self.0.caller(&header, connection).await?;
        self.0.service.health().into_iter().map(dict).collect()
    }
}

fn dict(finding: Finding) -> Result<Dict, Error> {
    let Finding { about, health, text, advice } = finding;
    Ok(Dict::from([
        entry("about", about)?,
        entry("health", health.name())?,
        entry("text", text)?,
        entry("advice", advice)?,
    ]))
}
