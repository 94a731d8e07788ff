//! Asking people and tokens: for the PIN, for the touch, and why.

use super::Service;
use super::error::{Error, Hints, Tries};
use super::locks::{Asker, PATIENCE, QUESTION, quoted};
use crate::channel::Patience;
use crate::secret::Pin;
use crate::token::prompter::{Ask, Refusal};
use crate::token::registry::Present;
use crate::token::worker::Worker;
use crate::token::{Derived, Device, PinPurpose, Token, TokenError, Wanted, needs};
use crate::vault::Keyslot;

impl Service {
    pub(super) async fn ask_token(
        &self,
        asker: &Asker<'_>,
        token: &Present,
        label: &str,
        slot: &Keyslot,
        wanted: Wanted,
    ) -> Result<Derived, Error> {
        let needs = needs(token.kind, slot.binding())?;
        let _pin = if needs.pin {
            prove(token, slot).await?;
            Some(self.verify_pin(asker, token, label, PinPurpose::Derive).await?)
        } else {
            None
        };
        let binding = slot.binding().to_vec();
        let derived = self
            .touch(asker, token, label, needs.touch, move |token, patience, blinks| {
                token.derive(&binding, wanted, patience, blinks)
            })
            .await?;
        Ok(derived)
    }

    /// Asks until the PIN is right, the token blocks, or whoever answers gives up.
    pub(super) async fn verify_pin(
        &self,
        asker: &Asker<'_>,
        token: &Present,
        label: &str,
        purpose: PinPurpose,
    ) -> Result<Pin, Error> {
        let mut failed = false;
        loop {
            let tries = token.worker.run(QUESTION, Token::tries_left).await?;
            if tries == 0 {
                return Err(Error::PinBlocked);
            }
            let ask = self.ask(asker, &token.id, label);
            let pin = tokio::time::timeout(PATIENCE, asker.who.prompter.pin(ask, tries, failed)).await;
            let pin = match pin {
                Ok(Ok(pin)) => pin,
                Ok(Err(Refusal::Refused)) if failed => return Err(Error::PinInvalid(Tries(tries))),
                Ok(Err(Refusal::Refused)) => return Err(Error::Cancelled),
                Ok(Err(Refusal::NoSurface)) => return Err(Error::NoPrompt),
                Err(_elapsed) => return Err(Error::Unanswered),
            };
            if self.wrong_pins.knows(&token.id, &pin, tries) {
                // A person who mistypes in the same way is told once; what goes on giving it is no person.
                if std::mem::replace(&mut failed, true) {
                    return Err(Error::PinInvalid(Tries(tries)));
                }
                continue;
            }
            let (pin, verified) = verify(token, pin, purpose).await?;
            match verified {
                Ok(()) => {
                    self.wrong_pins.forget(&token.id);
                    return Ok(pin);
                }
                Err(TokenError::PinInvalid) => {
                    self.wrong_pins.note(&token.id, &pin, tries);
                    failed = true;
                }
                // Another program has spent tries since: whoever types it must know.
                Err(TokenError::LastTry) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says why, then has `job` done, which waits for a touch if it `touches`.
    pub(super) async fn touch<R: Send + 'static, T: ?Sized + Device + 'static>(
        &self,
        asker: &Asker<'_>,
        token: &Present<Worker<T>>,
        label: &str,
        touches: bool,
        job: impl FnOnce(&mut T, &Patience, &mut dyn FnMut()) -> Result<R, TokenError> + Send + 'static,
    ) -> Result<R, Error> {
        let shown = self.clock.offset();
        let ask = self.announce(asker, token, label, touches).await?;
        let (blinks, mut blinking) = tokio::sync::mpsc::unbounded_channel();
        let mut work = std::pin::pin!(token.worker.run(PATIENCE, move |token, patience| {
            job(token, patience, &mut || {
                let _nobody_listens_any_more = blinks.send(());
            })
        }));
        loop {
            tokio::select! {
                biased;
                // Whoever drops the work takes the question off the token.
                Err(_refusal) = asker.who.prompter.refused() => return Err(Error::Cancelled),
                result = &mut work => {
                    let result = result?;
                    // The touch vouches for the time that the text was made at, and for no other.
                    return if self.clock.confirm(shown) { Ok(result) } else { Err(Error::ClockMoved) };
                }
                Some(()) = blinking.recv() => asker.who.prompter.blinking(ask.clone()).await.unwrap_or(()),
            }
        }
    }

    /// Says on every surface what a token is going to be used for.
    pub(super) async fn announce<W: Sync>(
        &self,
        asker: &Asker<'_>,
        token: &Present<W>,
        label: &str,
        touches: bool,
    ) -> Result<Ask, Error> {
        let ask = Ask { touch: touches, ..self.ask(asker, &token.id, label) };
        match tokio::time::timeout(PATIENCE, asker.who.prompter.touch(ask.clone())).await {
            Ok(Ok(())) => Ok(ask),
            Ok(Err(Refusal::Refused)) => Err(Error::Cancelled),
            Ok(Err(Refusal::NoSurface)) => Err(Error::NoPrompt),
            Err(_elapsed) => Err(Error::TimedOut),
        }
    }

    pub(super) fn ask(&self, asker: &Asker<'_>, token: &str, label: &str) -> Ask {
        let clock = self.clock.jump().map(|jump| self.clock_warning(jump));
        Ask {
            token: token.to_owned(),
            label: label.to_owned(),
            touch: false,
            text: asker.purpose.text(asker.who.caller, &(asker.who.others)(), clock.as_deref()),
            deadline: self.clock.now().saturating_add(PATIENCE.as_secs()),
        }
    }

    /// What the person confirms with the touch, when the wall clock cannot be believed by itself.
    fn clock_warning(&self, jump: i64) -> String {
        format!(
            "The clock jumped by {jump} s: touch only if it is now {}",
            crate::aws::rfc3339(self.clock.now()).unwrap_or_default()
        )
    }
}

/// Has the device prove once more that it is the keyslot's token, now over the connection that the PIN will take:
/// since it was found, another one may have taken its place.
async fn prove(token: &Present, slot: &Keyslot) -> Result<(), Error> {
    let binding = vec![slot.binding().to_vec()];
    let proved = token.worker.run(QUESTION, move |token, patience| token.find(&binding, patience)).await?;
    proved.map(drop).ok_or_else(|| Error::WrongToken(quoted(slot.label()), Hints::default()))
}

async fn verify(
    token: &Present,
    pin: Pin,
    purpose: PinPurpose,
) -> Result<(Pin, Result<(), TokenError>), Error> {
    let job = token.worker.run(QUESTION, move |token, patience| {
        let verified = token.verify_pin(&pin, purpose, patience);
        Ok((pin, verified))
    });
    Ok(job.await?)
}
