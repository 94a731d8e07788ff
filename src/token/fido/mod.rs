//! FIDO2 tokens: a credential with `hmac-secret`, one salt for each lock (CTAP 2.1 section 12.5).

mod binding;

pub(super) use binding::Binding;

use super::{Derived, Device, NewKey, PinPurpose, Token, TokenError, Touch, Traits, Wanted};
use crate::channel::{Channel, Patience};
use crate::crypto::random;
use crate::ctap::{
    Client, CtapError, HmacRequest, KeepAlive, NewCredential, Permission, PinUvToken, Probe, Wait,
};
use crate::secret::Pin;
use crate::transport::hidraw::HidrawChannel;
use crate::transport::socket::SocketChannel;
use std::path::PathBuf;

/// Relying party of all our credentials. No origin: no browser can ask for them.
const RP_ID: &str = "rootseal";

type Wire = Box<dyn Channel>;

/// A FIDO2 token at a place; connected when it is first asked something.
pub(super) struct FidoToken {
    connect: Box<dyn Fn() -> Result<Wire, TokenError> + Send>,
    client: Option<Client<Wire>>,
    proof: Option<PinUvToken>,
}

impl FidoToken {
    pub(super) fn at_socket(path: PathBuf) -> Self {
        Self::new(move || Ok(Box::new(SocketChannel::connect(&path)?)))
    }

    pub(super) fn at_hidraw(path: PathBuf) -> Self {
        Self::new(move || Ok(Box::new(HidrawChannel::open(&path)?)))
    }

    fn new(connect: impl Fn() -> Result<Wire, TokenError> + Send + 'static) -> Self {
        Self { connect: Box::new(connect), client: None, proof: None }
    }

    /// Runs one command; a token that failed otherwise than by an answer is connected to afresh next time.
    fn command<R>(
        &mut self,
        patience: &Patience,
        run: impl FnOnce(&mut Client<Wire>, Option<&PinUvToken>) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::connect((self.connect)()?, patience)?),
        };
        let result = run(client, self.proof.as_ref());
        if matches!(result, Err(TokenError::Gone | TokenError::TimedOut | TokenError::Cancelled)) {
            self.release();
        }
        result
    }
}

impl Device for FidoToken {
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError> {
        self.command(patience, |client, _| {
            let needs_pin = client.info().options.client_pin == Some(true);
            Ok(Traits { needs_pin, touch: Touch::Always, serial: None })
        })
    }

    fn release(&mut self) {
        self.proof = None;
        self.client = None;
    }
}

impl Token for FidoToken {
    fn find(&mut self, bindings: &[Vec<u8>], patience: &Patience) -> Result<Option<usize>, TokenError> {
        let bindings: Vec<_> =
            bindings.iter().map(|bytes| Binding::decode(bytes)).collect::<Result<_, _>>()?;
        self.command(patience, |client, _| {
            let mut by_model = None;
            for (index, binding) in bindings.iter().enumerate() {
                match client.has_credential(RP_ID, &binding.credential_id, &binding.public_key, patience)? {
                    Probe::Found => return Ok(Some(index)),
                    // The model has to do for one that was silent from the start, and for no other: any device can
                    // refuse to answer, and claim to be of any model.
                    Probe::Silent if !binding.proves_itself && binding.aaguid == client.info().aaguid => {
                        by_model = by_model.or(Some(index));
                    }
                    Probe::Silent | Probe::Absent => {}
                }
            }
            Ok(by_model)
        })
    }

    fn tries_left(&mut self, patience: &Patience) -> Result<u32, TokenError> {
        self.command(patience, |client, _| {
            let tries = client.pin_retries(patience)?;
            if tries.power_cycle && tries.retries > 0 {
                return Err(TokenError::PowerCycle);
            }
            Ok(u32::try_from(tries.retries).unwrap_or(u32::MAX))
        })
    }

    fn verify_pin(&mut self, pin: &Pin, purpose: PinPurpose, patience: &Patience) -> Result<(), TokenError> {
        let permission = match purpose {
            PinPurpose::Create => Permission::MakeCredential,
            PinPurpose::Derive => Permission::GetAssertion,
        };
        let proof =
            self.command(patience, |client, _| Ok(client.pin_token(pin, permission, RP_ID, patience)?))?;
        self.proof = Some(proof);
        Ok(())
    }

    fn create(
        &mut self,
        key: &NewKey,
        patience: &Patience,
        blinks: &mut dyn FnMut(),
    ) -> Result<Vec<u8>, TokenError> {
        if !key.is_plain() {
            return Err(TokenError::NoChoice);
        }
        let user_id = public_random()?;
        let client_data_hash = public_random()?;
        let new = NewCredential {
            rp_id: RP_ID,
            rp_name: "rootseal",
            user_id: &user_id,
            user_name: "rootseal vault",
            client_data_hash: &client_data_hash,
            exclude: &[],
        };
        let (made, user_verified, proves_itself) = self.command(patience, |client, proof| {
            let made = client.make_credential(
                &new,
                proof,
                &mut Wait { patience, on_keepalive: &mut |state| when_needed(state, blinks) },
            )?;
            let proves_itself = match client.has_credential(RP_ID, &made.id, &made.public_key, patience)? {
                Probe::Found => true,
                Probe::Silent => false,
                // It would never be found again.
                Probe::Absent => {
                    return Err(CtapError::Unsupported("a question without a PIN and a touch").into());
                }
            };
            Ok((made, proof.is_some(), proves_itself))
        })?;
        // Each proof is good for one command.
        self.proof = None;
        let salts = [public_random()?, public_random()?];
        let binding = Binding {
            credential_id: made.id,
            salts,
            user_verified,
            aaguid: made.aaguid,
            public_key: made.public_key,
            proves_itself,
        };
        Ok(binding.encode())
    }

    fn derive(
        &mut self,
        binding: &[u8],
        wanted: Wanted,
        patience: &Patience,
        blinks: &mut dyn FnMut(),
    ) -> Result<Derived, TokenError> {
        let binding = Binding::decode(binding)?;
        let [unlock, guard] = &binding.salts;
        let (salt, second_salt) = match (wanted.unlock, wanted.guard) {
            (true, true) => (unlock, Some(guard)),
            (true, false) => (unlock, None),
            (false, true) => (guard, None),
            (false, false) => return Ok(Derived { unlock: None, guard: None }),
        };
        let client_data_hash = public_random()?;
        let request = HmacRequest {
            rp_id: RP_ID,
            credential_id: &binding.credential_id,
            public_key: &binding.public_key,
            salt,
            second_salt,
            client_data_hash: &client_data_hash,
        };
        let output = self.command(patience, |client, proof| {
            // The secret is another one with the PIN verified: ask as it was enrolled.
            let proof =
                if binding.user_verified { Some(proof.ok_or(TokenError::PinRequired)?) } else { None };
            Ok(client.hmac_secret(
                &request,
                proof,
                &mut Wait { patience, on_keepalive: &mut |state| when_needed(state, blinks) },
            )?)
        });
        self.proof = None;
        let output = output?;
        Ok(match (wanted.unlock, output.second) {
            (true, second) => Derived { unlock: Some(output.first), guard: second },
            (false, _) => Derived { unlock: None, guard: Some(output.first) },
        })
    }
}

/// CTAP 2.1 section 11.2.9.1.5: `STATUS_UPNEEDED` is the one moment at which the token waits for its user.
fn when_needed(state: KeepAlive, blinks: &mut dyn FnMut()) {
    match state {
        KeepAlive::TouchNeeded => blinks(),
        KeepAlive::Processing => {}
    }
}

fn public_random() -> Result<[u8; 32], TokenError> {
    random::public().map_err(|_no_randomness| TokenError::Busy)
}
