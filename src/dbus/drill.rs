//! `org.rootseal.Drill1`

use super::door::Door;
use super::error::Error;
use super::options::{Dict, Options, entry};
use super::request::Request;
use super::vault;
use crate::service::{Act, Drill as Outcome, Proof};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::{Connection, OwnedFd, OwnedVariant, fdo, interface};

pub(super) struct Drill(pub(super) Arc<Door>);

#[interface(name = "org.rootseal.Drill1")]
impl Drill {
    async fn check_backup(
        &self,
        options: HashMap<String, OwnedVariant>,
        input: OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Unlock, &mut options, &header, connection).await?;
        options.end()?;
        let who = request.who();
        let bytes = vault::copy(input).await?;
        request.run(self.0.service.check_backup(bytes, who)).await
    }

    async fn begin(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.0.caller_who_may(Act::Unlock, &header, connection).await?;
        Ok(self.0.service.begin_drill().await?)
    }

    async fn finish(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Unlock, &mut options, &header, connection).await?;
        options.end()?;
        let drill = self.0.service.finish_drill(request.who()).await?;
        let Outcome { vault, generation, epoch, keyslots, backup, complete, ended } = drill;
        let keyslots = keyslots.into_iter().map(proof).collect::<Result<Vec<_>, _>>()?;
        let (checked, of) = backup.unwrap_or_default();
        Ok(Dict::from([
            entry("vault", vault.to_string())?,
            entry("generation", generation)?,
            entry("epoch", epoch)?,
            entry("keyslots", keyslots)?,
            entry("backup_checked", checked)?,
            entry("backup_generation", of)?,
            entry("complete", complete)?,
            entry("ended", ended)?,
        ]))
    }

    /// When the last one proved everything; 0: never.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn last(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<u64> {
        Ok(self.times(header, connection).await?.0)
    }

    /// When the next one is due; 0: none is.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn due(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<u64> {
        Ok(self.times(header, connection).await?.1)
    }
}

impl Drill {
    async fn times(&self, header: Option<Header<'_>>, connection: &Connection) -> fdo::Result<(u64, u64)> {
        self.0.admit(header, connection).await?;
        let drills = self.0.service.drills().await;
        let (last, due) = drills.map_err(|error| fdo::Error::Failed(error.to_string()))?;
        Ok((last.unwrap_or(0), due.unwrap_or(0)))
    }
}

fn proof(proof: Proof) -> Result<Dict, Error> {
    let Proof { id, label, holder, kind, proved } = proof;
    Ok(Dict::from([
        entry("id", id.to_string())?,
        entry("label", label)?,
        entry("holder", holder)?,
        entry("kind", kind)?,
        entry("proved", proved.unwrap_or(0))?,
    ]))
}
