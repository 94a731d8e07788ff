//! Making a token's key: what a new vault and a further keyslot have in common.

use super::Service;
use super::error::Error;
use super::locks::{Asker, PATIENCE, name};
use crate::token::registry::Present;
use crate::token::{Derived, PinPurpose, Wanted};
use crate::vault::NewSlot;

/// What a keyslot is called, and whose it is.
pub(super) struct SlotName {
    label: String,
    holder: String,
}

impl SlotName {
    pub(super) fn new(label: &str, holder: &str) -> Result<Self, Error> {
        for (field, text) in [("label", label), ("holder", holder)] {
            if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
                return Err(Error::Invalid(format!(
                    "the {field} must have 1 to 64 bytes and no control characters"
                )));
            }
        }
        Ok(Self { label: label.to_owned(), holder: holder.to_owned() })
    }

    /// The keyslot of an enrolled token.
    pub(super) fn with(self, enrolled: Enrolled, created: u64) -> Result<NewSlot, Error> {
        let Enrolled { kind, binding, derived } = enrolled;
        Ok(NewSlot {
            holder: self.holder,
            label: self.label,
            kind: kind.to_owned(),
            created,
            binding,
            unlock: derived.unlock.ok_or(Error::Failed("the token gave no secret"))?,
            guard: derived.guard,
        })
    }
}

/// A token's new key: where to find it, and what it answers.
pub(super) struct Enrolled {
    kind: &'static str,
    binding: Vec<u8>,
    derived: Derived,
}

impl Service {
    /// A key, then its secrets: two commands, each with a touch of its own where the token asks for one.
    pub(super) async fn enrol(&self, asker: &Asker<'_>, token: &Present) -> Result<Enrolled, Error> {
        let kind = token.kind.keyslot().ok_or(Error::Failed("this kind of token opens no vault"))?;
        let held = token.worker.hold();
        let made = self.make_key(asker, token).await;
        drop(held);
        asker.who.prompter.done().await.unwrap_or(());
        let (binding, derived) = made?;
        Ok(Enrolled { kind, binding, derived })
    }

    async fn make_key(&self, asker: &Asker<'_>, token: &Present) -> Result<(Vec<u8>, Derived), Error> {
        let label = name(token);
        let pin = if token.traits.needs_pin {
            Some(self.verify_pin(asker, token, &label, PinPurpose::Create).await?)
        } else {
            None
        };
        let first = format!("{label} (1 of 2)");
        let binding = self
            .touch(asker, token, &first, |token, patience, blinks| token.create(patience, blinks))
            .await?;
        if let Some(pin) = pin {
            token
                .worker
                .run(PATIENCE, move |token, patience| token.verify_pin(&pin, PinPurpose::Derive, patience))
                .await?;
        }
        let second = format!("{label} (2 of 2)");
        let both = Wanted { unlock: true, guard: true };
        let made = binding.clone();
        let derived = self
            .touch(asker, token, &second, move |token, patience, blinks| {
                token.derive(&made, both, patience, blinks)
            })
            .await?;
        Ok((binding, derived))
    }
}
