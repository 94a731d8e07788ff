//! `org.rootseal.Vault1`

use super::door::Door;
use super::error::Error;
use super::keys;
use super::options::{Dict, Options, entry};
use super::pipe;
use super::request::Request;
use crate::service::{Act, Checked, KeyslotInfo, NewKeyslot, SlotChange, SlotId, VaultInfo, VaultState, Who};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::OwnedVariant;
use zbus::message::Header;
use zbus::{Connection, fdo, interface};

/// The most that a vault file can have, in bytes.
const LARGEST_VAULT: usize = 1 << 30;

pub(super) struct Vault(pub(super) Arc<Door>);

impl Vault {
    async fn info(&self, header: Option<Header<'_>>, connection: &Connection) -> fdo::Result<VaultInfo> {
        self.0.admit(header, connection).await?;
        self.0.service.vault_info().await.map_err(|error| fdo::Error::Failed(error.to_string()))
    }

    async fn change(
        &self,
        change: SlotChange,
        options: HashMap<String, OwnedVariant>,
        header: Header<'_>,
        connection: &Connection,
    ) -> Result<(), Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Manage, &mut options, &header, connection).await?;
        options.end()?;
        let who = request.who();
        request.run(self.0.service.change_keyslots(change, who)).await
    }
}

/// A copy of the file, as a client hands it in. No secret: it is sealed.
pub(super) async fn copy(input: zbus::OwnedFd) -> Result<Vec<u8>, Error> {
    Ok(std::mem::take(&mut *pipe::read_most(input.into(), LARGEST_VAULT).await?))
}

fn slot_id(text: &str) -> Result<SlotId, Error> {
    text.parse().map_err(|_not_one| {
        Error::invalid("a keyslot's id has 32 hexadecimal digits: `rootseal keyslot list` shows them")
    })
}

#[interface(name = "org.rootseal.Vault1")]
impl Vault {
    async fn unlock(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Unlock, &mut options, &header, connection).await?;
        options.end()?;
        request.run(self.0.service.unlock(request.who())).await
    }

    async fn lock(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.0.caller(&header, connection).await?;
        Ok(self.0.service.lock().await?)
    }

    async fn add_keyslot(
        &self,
        label: String,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        let mut options = Options::new(options);
        let (holder, with) = (options.text("holder")?, options.text("with")?);
        let request = Request::new(&self.0, Act::Manage, &mut options, &header, connection).await?;
        let recovery = keys::new_recovery(&mut options, Some(label.clone()), holder.clone()).await?;
        if let Some(new) = recovery {
            options.end()?;
            let who = request.with(with.as_deref().or(request.token()));
            return Ok(request.run(self.0.service.add_recovery(new, who)).await?.to_string());
        }
        let key = keys::take(&mut options).await?;
        options.end()?;
        let new = NewKeyslot { label, holder, with, key };
        let who = request.who();
        Ok(request.run(self.0.service.add_keyslot(new, who)).await?.to_string())
    }

    async fn remove_keyslot(
        &self,
        id: String,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.change(SlotChange::Remove(slot_id(&id)?), options, header, connection).await
    }

    async fn rekey(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.change(SlotChange::Rekey, options, header, connection).await
    }

    async fn set_thresholds(
        &self,
        unlock: u32,
        guard: u32,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        self.change(SlotChange::Thresholds { unlock, guard }, options, header, connection).await
    }

    async fn relabel_keyslot(
        &self,
        id: String,
        label: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.0.caller_who_may(Act::Manage, &header, connection).await?;
        let prompter = self.0.prompter(&caller, connection);
        let who = Who::new(&caller, &prompter, None);
        Ok(self.0.service.relabel_keyslot(slot_id(&id)?, label, who).await?)
    }

    async fn check_keyslot(
        &self,
        id: String,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        let id = if id.is_empty() { None } else { Some(slot_id(&id)?) };
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Unlock, &mut options, &header, connection).await?;
        options.end()?;
        let who = request.who();
        let Checked { id, label, holder, guard } = request.run(self.0.service.check_keyslot(id, who)).await?;
        Ok(Dict::from([
            entry("id", id.to_string())?,
            entry("label", label)?,
            entry("holder", holder)?,
            entry("guard", guard)?,
        ]))
    }

    async fn backup(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<zbus::OwnedFd, Error> {
        let caller = self.0.caller_who_may(Act::Manage, &header, connection).await?;
        let prompter = self.0.prompter(&caller, connection);
        let bytes = self.0.service.backup(Who::new(&caller, &prompter, None)).await?;
        Ok(pipe::holding(&bytes)?.into())
    }

    async fn restore(
        &self,
        options: HashMap<String, OwnedVariant>,
        input: zbus::OwnedFd,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let mut options = Options::new(options);
        let request = Request::new(&self.0, Act::Manage, &mut options, &header, connection).await?;
        let older = options.flag("older")?;
        options.end()?;
        let who = request.who();
        let restored = async {
            let bytes = copy(input).await?;
            Ok::<(), Error>(self.0.service.restore(bytes, older, who).await?)
        };
        request.run(restored).await
    }

    async fn check(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Dict, Error> {
        self.0.caller(&header, connection).await?;
        let (generation, items) = self.0.service.check().await?;
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        Ok(Dict::from([entry("generation", generation)?, entry("items", items)?]))
    }

    #[zbus(property)]
    async fn state(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<&'static str> {
        Ok(match self.info(header, connection).await?.state {
            VaultState::Absent => "absent",
            VaultState::Locked => "locked",
            VaultState::Unlocked => "unlocked",
            VaultState::Damaged => "damaged",
        })
    }

    #[zbus(property)]
    async fn problem(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        Ok(self.info(header, connection).await?.problem)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn path(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<String> {
        self.0.admit(header, connection).await?;
        Ok(self.0.service.path().display().to_string())
    }

    #[zbus(property)]
    async fn generation(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<u64> {
        Ok(self.info(header, connection).await?.generation)
    }

    #[zbus(property)]
    async fn thresholds(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<(u32, u32)> {
        Ok(self.info(header, connection).await?.thresholds)
    }

    // Each use puts it off: to signal that would wake everybody for nothing.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn lock_deadline(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<u64> {
        self.0.admit(header, connection).await?;
        Ok(self.0.service.lock_deadline().unwrap_or(0))
    }

    #[zbus(property)]
    async fn keyslots(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<Vec<Dict>> {
        let info = self.info(header, connection).await?;
        // From memory: a property must not wait for a token. `Tokens` asks them.
        let present = self.0.service.enrolled_slots();
        let dicts = info.keyslots.into_iter().map(|slot| dict(&slot, present.contains(&slot.id)));
        dicts
            .collect::<Result<_, _>>()
            .map_err(|_unwritable| fdo::Error::Failed("the reply cannot be written".into()))
    }
}

fn dict(slot: &KeyslotInfo, present: bool) -> Result<Dict, Error> {
    Ok(Dict::from([
        entry("id", slot.id.to_string())?,
        entry("holder", slot.holder.as_str())?,
        entry("label", slot.label.as_str())?,
        entry("kind", slot.kind.as_str())?,
        entry("created", slot.created)?,
        entry("present", present)?,
        entry("proved", slot.proved.unwrap_or(0))?,
        entry("attested", slot.attested.name())?,
    ]))
}
