//! Making a token's key: what a new vault and a further keyslot have in common.

use super::Service;
use super::error::Error;
use super::locks::{Asker, PATIENCE, list, name};
use crate::secret::ManagementKey;
use crate::token::registry::Present;
use crate::token::{Derived, Kind, NewKey, PinPurpose, Wanted, choices, needs};
use crate::vault::NewSlot;

/// What a keyslot is called, and whose it is.
pub(super) struct SlotName {
    label: String,
    holder: String,
}

impl SlotName {
    pub(super) fn new(label: &str, holder: &str) -> Result<Self, Error> {
        for (field, text) in [("label", label), ("holder", holder)] {
            if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) || text.trim() != text
            {
                return Err(Error::Invalid(format!(
                    "the {field} must have 1 to 64 bytes, no control characters, and no space at its ends"
                )));
            }
        }
        Ok(Self { label: label.to_owned(), holder: holder.to_owned() })
    }

    /// The keyslot of an enrolled token.
    pub(super) fn with(self, enrolled: Enrolled, created: u64) -> Result<NewSlot, Error> {
        let Enrolled { kind, binding, derived } = enrolled;
        self.new_slot(kind, binding, derived, created)
    }

    /// A keyslot with these secrets.
    pub(super) fn new_slot(
        self,
        kind: &str,
        binding: Vec<u8>,
        derived: Derived,
        created: u64,
    ) -> Result<NewSlot, Error> {
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

/// The one to be enrolled, where several could be: one device is often several tokens. FIDO2 comes first, for it needs
/// no choice; challenge-response last, for it has no PIN. A key that is chosen can only be of a kind that has such keys.
pub(super) fn only_one(mut tokens: Vec<Present>, key: &NewKey) -> Result<Option<Present>, Error> {
    let suits = |token: &Present| choices(token.kind, key).is_ok();
    if tokens.iter().any(suits) {
        tokens.retain(suits);
    } else if tokens.iter().any(|token| token.kind != Kind::Fido) {
        // What is wrong with the choice is told by a kind that leaves one.
        tokens.retain(|token| token.kind != Kind::Fido);
    }
    if let Some(best) = tokens.iter().map(|token| token.kind).min() {
        tokens.retain(|token| token.kind == best);
    }
    if tokens.len() > 1 {
        return Err(Error::TokenChoice(list(tokens.iter())));
    }
    Ok(tokens.pop())
}

/// How a key is to be made, in the words of a request; a management key comes as hexadecimal digits.
///
/// # Errors
/// [`Error::Invalid`].
pub fn new_key(
    slot: Option<String>,
    generate: Option<String>,
    management_key: Option<&[u8]>,
) -> Result<NewKey, Error> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let management_key = management_key.map(|hex| {
        let hex = hex.trim_ascii();
        if !matches!(hex.len(), 32 | 48 | 64) {
            return Err(NO_MANAGEMENT_KEY);
        }
        ManagementKey::try_fill(hex.len() / 2, |key| {
            for (byte, pair) in key.iter_mut().zip(hex.chunks_exact(2)) {
                let [high, low] = pair else { return Err(NO_MANAGEMENT_KEY) };
                let (high, low) = digit(*high).zip(digit(*low)).ok_or(NO_MANAGEMENT_KEY)?;
                *byte = high << 4 | low;
            }
            Ok(())
        })
    });
    let management_key = management_key.transpose().map_err(|text: &str| Error::Invalid(text.to_owned()))?;
    Ok(NewKey { slot, generate, management_key })
}

const NO_MANAGEMENT_KEY: &str = "a management key has 32, 48 or 64 hexadecimal digits";

/// A token's new key: where to find it, and what it answers.
pub(super) struct Enrolled {
    kind: &'static str,
    binding: Vec<u8>,
    derived: Derived,
}

impl Service {
    /// A key, then its secrets: two commands, each with a touch of its own where the token asks for one.
    pub(super) async fn enrol(
        &self,
        asker: &Asker<'_>,
        token: &Present,
        key: NewKey,
    ) -> Result<Enrolled, Error> {
        choices(token.kind, &key)?;
        let held = token.worker.hold();
        let made = self.unless_locked(asker, self.make_key(asker, token, key)).await;
        drop(held);
        asker.who.prompter.done().await.unwrap_or(());
        let (binding, derived) = made?;
        let kind = token.kind.keyslot().ok_or(Error::Failed("this kind of token is no keyslot"))?;
        Ok(Enrolled { kind, binding, derived })
    }

    async fn make_key(
        &self,
        asker: &Asker<'_>,
        token: &Present,
        key: NewKey,
    ) -> Result<(Vec<u8>, Derived), Error> {
        let label = name(token);
        let pin = if token.traits.needs_pin {
            Some(self.verify_pin(asker, token, &label, PinPurpose::Create).await?)
        } else {
            None
        };
        let first = format!("{label} (1 of 2)");
        let binding = self
            .touch(asker, token, &first, token.kind == Kind::Fido, move |token, patience, blinks| {
                token.create(&key, patience, blinks)
            })
            .await?;
        if let Some(pin) = pin {
            token
                .worker
                .run(PATIENCE, move |token, patience| token.verify_pin(&pin, PinPurpose::Derive, patience))
                .await?;
        }
        let second = format!("{label} (2 of 2)");
        let all = Wanted { unlock: true, guard: token.kind.opens_guard() };
        let touches = needs(token.kind, &binding)?.touch;
        let made = binding.clone();
        let derived = self
            .touch(asker, token, &second, touches, move |token, patience, blinks| {
                token.derive(&made, all, patience, blinks)
            })
            .await?;
        Ok((binding, derived))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn management_keys_are_hexadecimal() {
        let key = new_key(None, None, Some(b"000102030405060708090A0b0c0d0e0f\n")).unwrap();
        assert!(!key.is_plain());
        assert!(key.management_key.unwrap().with(|key| key.iter().copied().eq(0..16)));
        for wrong in ["", "00", "zz0102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0"] {
            assert!(new_key(None, None, Some(wrong.as_bytes())).is_err(), "{wrong}");
        }
        assert!(new_key(None, None, None).unwrap().is_plain());
    }
}
