//! What clients may see without a touch.

use super::Service;
use super::error::{Error, Hints};
use super::house::Vault;
use super::locks::no_such_token;
use crate::token::registry::Patient;
use crate::token::trouble::Trouble;
use crate::token::{Attested, attested};
use crate::vault::{Lock, SlotId};
use std::collections::HashSet;
use std::sync::Arc;

/// The vault's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultState {
    /// There is none yet.
    Absent,
    /// It is shut.
    Locked,
    /// Its index is open.
    Unlocked,
    /// It cannot be used as it is.
    Damaged,
}

/// The vault as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultInfo {
    /// Its state.
    pub state: VaultState,
    /// What is wrong with it; empty otherwise.
    pub problem: String,
    /// How often it was saved; 0 where there is none.
    pub generation: u64,
    /// Holders needed for the unlock and the guard lock.
    pub thresholds: (u32, u32),
    /// Its keyslots.
    pub keyslots: Vec<KeyslotInfo>,
}

/// A keyslot as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyslotInfo {
    /// Its id.
    pub id: SlotId,
    /// Whose it is.
    pub holder: String,
    /// Its name.
    pub label: String,
    /// `fido2`
    pub kind: String,
    /// Seconds since 1970-01-01 UTC.
    pub created: u64,
    /// When it was last proved on this machine that its token opens it: seconds since 1970-01-01 UTC.
    pub proved: Option<u64>,
    /// How far it is proved that its key was made in its token.
    pub attested: Attested,
}

/// A connected token as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id while it is connected.
    pub id: String,
    /// `fido`, `piv`, `otp_hmac`, `oath`
    pub kind: String,
    /// The keyslot's name if it is one, else what it calls itself.
    pub label: String,
    /// Empty where it tells none.
    pub serial: String,
    /// Whether it is software.
    pub is_virtual: bool,
    /// Which keyslot is its own.
    pub keyslot: Option<SlotId>,
    /// Whether it has a PIN.
    pub needs_pin: bool,
    /// When it wants to be touched: `always`, `cached`, `never`, `unknown`.
    pub touch: &'static str,
}

/// Why there is no token, or not the one that somebody expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenProblem {
    /// What it is, for programs.
    pub code: &'static str,
    /// A device node, a socket, the number of a reader; may be empty.
    pub place: String,
    /// What it means and what to do.
    pub text: &'static str,
}

impl Service {
    /// The vault as it is now.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub async fn vault_info(&self) -> Result<VaultInfo, Error> {
        self.refresh().await?;
        let roots = Arc::clone(&self.settings.attestation_roots);
        self.keeper
            .ask(move |house| {
                let (state, problem) = match &house.vault {
                    Vault::Absent => (VaultState::Absent, String::new()),
                    Vault::Damaged(problem) => (VaultState::Damaged, problem.text().to_owned()),
                    Vault::Locked(_) => (VaultState::Locked, String::new()),
                    Vault::Unlocked(_) => (VaultState::Unlocked, String::new()),
                };
                let Ok((header, _)) = house.header() else {
                    return VaultInfo {
                        state,
                        problem,
                        generation: 0,
                        thresholds: (0, 0),
                        keyslots: Vec::new(),
                    };
                };
                let thresholds = header.thresholds();
                let keyslots = header.keyslots().iter().map(|slot| KeyslotInfo {
                    id: slot.id(),
                    holder: slot.holder().to_owned(),
                    label: slot.label().to_owned(),
                    kind: slot.kind().to_owned(),
                    created: slot.created(),
                    proved: house.machine.proofs.of(slot.id()),
                    attested: attested(slot.kind(), slot.binding(), &roots),
                });
                VaultInfo {
                    state,
                    problem,
                    generation: header.generation(),
                    thresholds: (thresholds.of(Lock::Unlock).into(), thresholds.of(Lock::Guard).into()),
                    keyslots: keyslots.collect(),
                }
            })
            .await
    }

    /// The keyslots whose tokens were there when they were last asked for.
    pub fn enrolled_slots(&self) -> HashSet<SlotId> {
        self.enrolled.lock().map(|enrolled| enrolled.values().copied().collect()).unwrap_or_default()
    }

    /// The connected tokens. A token that is being used right now is asked when it is free.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, Error> {
        let (present, codes, _) = self.look_for_tokens().await?.all(Patient::No).await;
        let header = self.keeper.glance(|house| Ok(house.header().ok().map(|(header, _)| header))).await?;
        if let Ok(mut enrolled) = self.enrolled.lock() {
            enrolled.retain(|id, _| present.iter().any(|token| token.id == *id));
        }
        let mut tokens = Vec::with_capacity(present.len());
        for token in present {
            let keyslot = match &header {
                Some(header) => self.slot_of(&token, header).await,
                None => None,
            };
            let slot = keyslot.and_then(|id| header.as_ref().and_then(|header| header.keyslot(id)));
            tokens.push(TokenInfo {
                label: slot.map_or_else(|| token.product.clone(), |slot| slot.label().to_owned()),
                id: token.id,
                kind: token.kind.name().to_owned(),
                serial: token.serial,
                is_virtual: token.is_virtual,
                keyslot,
                needs_pin: token.traits.needs_pin,
                touch: token.traits.touch.name(),
            });
        }
        tokens.extend(codes.into_iter().map(|token| TokenInfo {
            id: token.id,
            kind: token.kind.name().to_owned(),
            label: token.product,
            serial: token.serial,
            is_virtual: token.is_virtual,
            keyslot: None,
            needs_pin: token.traits.needs_pin,
            touch: token.traits.touch.name(),
        }));
        Ok(tokens)
    }

    /// What hinders tokens that are plugged in, or should be, as it is now.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn token_problems(&self) -> Result<Vec<TokenProblem>, Error> {
        let (.., troubles) = self.look_for_tokens().await?.all(Patient::No).await;
        let problem =
            |Trouble { reason, place }| TokenProblem { code: reason.code(), place, text: reason.text() };
        Ok(troubles.into_iter().map(problem).collect())
    }

    /// The connected token of that id, or the only one of that kind.
    ///
    /// # Errors
    /// [`Error::NoToken`], [`Error::TokenChoice`].
    pub async fn find_listed(&self, id: Option<&str>, kind: Option<&str>) -> Result<TokenInfo, Error> {
        let mut tokens = self.tokens().await?;
        tokens
            .retain(|token| id.is_none_or(|id| token.id == id) && kind.is_none_or(|kind| token.kind == kind));
        if tokens.len() > 1 {
            let ids: Vec<_> = tokens.iter().map(|token| format!("{} ({})", token.id, token.label)).collect();
            return Err(Error::TokenChoice(ids.join(", ")));
        }
        tokens.pop().ok_or_else(|| id.map_or_else(|| Error::NoToken(Hints::default()), no_such_token))
    }
}
