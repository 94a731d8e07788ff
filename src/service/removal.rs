//! A token that opened the vault is pulled out: then the vault is locked, once it is clear that the token does not come
//! back at once. A device that is reset, and cards while pcscd starts again, are away for a moment, too.

use super::Service;
use super::alarm::{Alarm, now};
use super::house::House;
use crate::token::registry::Patient;
use crate::token::worker::Mark;
use crate::vault::{Lock, SlotId};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{MutexGuard, watch};

/// How long a collection of consents is waited for, which may go on as long as its caller likes.
const LONGEST_TURN: Duration = Duration::from_mins(5);

/// A token that opened the vault: its keyslot, and its thread, which ends when the device is gone.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    pub(super) slot: SlotId,
    pub(super) thread: Mark,
    /// Whether nobody had to consent after it.
    pub(super) last: bool,
}

/// How the vault comes to be opened.
pub(super) struct Opening {
    /// The tokens that do it, the last one last.
    pub(super) by: Vec<Opener>,
    /// None: the machine is about to sleep.
    locks: Option<watch::Receiver<u64>>,
}

impl Opening {
    /// Whether the vault was locked since it began: then it is not to be opened any more.
    pub(super) fn is_off(&self) -> bool {
        self.locks.as_ref().is_none_or(|locks| locks.has_changed().unwrap_or(true))
    }
}

impl Service {
    /// It begins now.
    pub(super) fn opening(&self) -> Opening {
        Opening { by: Vec::new(), locks: self.is_awake().is_ok().then(|| self.locks.subscribe()) }
    }

    /// Locks the vault when one of the tokens that opened it is pulled out, for as long as it is polled.
    ///
    /// # Errors
    /// The system gives no timer: then the vault would stay open.
    pub async fn lock_when_pulled(self: Arc<Self>) -> io::Result<()> {
        let Some(grace) = self.settings.lock_when.token_is_removed else {
            return std::future::pending().await;
        };
        let alarm = Alarm::new()?;
        let mut open = self.autolock.follow();
        loop {
            let openers = open.borrow_and_update().as_ref().map(|open| Arc::clone(&open.by));
            let openers = openers.filter(|openers| !openers.is_empty());
            let pulled = async {
                match &openers {
                    Some(openers) => self.one_is_gone(openers.to_vec(), grace, &alarm).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = open.changed() => if changed.is_err() { return Ok(()) },
                gone = pulled => {
                    gone?;
                    if self.lock_because("a token that opened it was pulled out").await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Returns when one of them has been away for as long as is allowed.
    async fn one_is_gone(&self, mut openers: Vec<Opener>, grace: Duration, alarm: &Alarm) -> io::Result<()> {
        let mut arrivals = self.arrivals();
        self.forget_who_made_room(&mut openers).await;
        let mut until = None;
        loop {
            let away = self.is_one_away(&mut openers).await;
            match until {
                None if away => {
                    until = now().checked_add(grace);
                    tracing::info!(?grace, "a token that opened the vault is away");
                }
                Some(_) if !away => {
                    until = None;
                    tracing::info!("the token that opened the vault is back");
                }
                Some(end) if end <= now() => {
                    let _turn = self.turn_of_several().await;
                    if self.is_one_away(&mut openers).await {
                        return Ok(());
                    }
                    continue;
                }
                None | Some(_) => {}
            }
            tokio::select! {
                changed = arrivals.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
                over = alarm.at(until) => over?,
            }
        }
    }

    /// Several holders may share one port: who was not the last has the token out by now, and that is no removal.
    async fn forget_who_made_room(&self, openers: &mut Vec<Opener>) {
        let Ok(look) = self.look_for_tokens().await else { return };
        openers.retain(|opener| opener.last || look.has(&opener.thread));
    }

    /// For the same reason, whoever collects the consents of several goes on to its end.
    async fn turn_of_several(&self) -> Option<MutexGuard<'_, ()>> {
        let header = self.keeper.glance(House::header).await;
        let several = header.is_ok_and(|(header, _)| header.thresholds().of(Lock::Guard) > 1);
        if !several {
            return None;
        }
        tokio::time::timeout(LONGEST_TURN, self.turn.lock()).await.ok()
    }

    /// Whether one of them is not there, wherever it hangs by now.
    async fn is_one_away(&self, openers: &mut [Opener]) -> bool {
        let Ok(look) = self.look_for_tokens().await else { return true };
        let mut away: Vec<_> = openers.iter_mut().filter(|opener| !look.has(&opener.thread)).collect();
        if away.is_empty() {
            return false;
        }
        let Ok((header, _)) = self.keeper.glance(House::header).await else { return true };
        for token in look.present(Patient::No).await.0 {
            let slot = self.slot_of(&token, &header).await;
            if let Some(back) = away.iter().position(|opener| Some(opener.slot) == slot) {
                away.swap_remove(back).thread = token.worker.mark();
            }
        }
        !away.is_empty()
    }
}
