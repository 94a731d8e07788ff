//! FIDO2 tokens: a credential with `hmac-secret`, one salt for each lock (CTAP 2.1 section 12.5).

use super::{Derived, PinPurpose, Token, TokenError, Traits, Wanted};
use crate::channel::{Channel, Patience};
use crate::crypto::random;
use crate::ctap::{Client, HmacRequest, KeepAlive, NewCredential, Permission, PinUvToken, Probe, Wait};
use crate::secret::Pin;
use crate::transport::hidraw::HidrawChannel;
use crate::transport::socket::SocketChannel;
use minicbor::{Decoder, Encoder};
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

impl Token for FidoToken {
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError> {
        self.command(patience, |client, _| {
            Ok(Traits { needs_pin: client.info().options.client_pin == Some(true) })
        })
    }

    fn find(&mut self, bindings: &[Vec<u8>], patience: &Patience) -> Result<Option<usize>, TokenError> {
        let bindings: Vec<_> =
            bindings.iter().map(|bytes| Binding::decode(bytes)).collect::<Result<_, _>>()?;
        let ids: Vec<_> = bindings.iter().map(|binding| &*binding.credential_id).collect();
        self.command(patience, |client, _| {
            Ok(match client.has_credential(RP_ID, &ids, patience)? {
                Probe::Found(index) => Some(index),
                Probe::Absent => None,
                // It does not say so without its user: then the model has to do.
                Probe::Silent => bindings.iter().position(|binding| binding.aaguid == client.info().aaguid),
            })
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

    fn create(&mut self, patience: &Patience, blinks: &mut dyn FnMut()) -> Result<Vec<u8>, TokenError> {
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
        let (made, user_verified) = self.command(patience, |client, proof| {
            let made = client.make_credential(
                &new,
                proof,
                &mut Wait { patience, on_keepalive: &mut |state| when_needed(state, blinks) },
            )?;
            Ok((made, proof.is_some()))
        })?;
        // Each proof is good for one command.
        self.proof = None;
        let salts = [public_random()?, public_random()?];
        Ok(Binding { credential_id: made.id, salts, user_verified, aaguid: made.aaguid }.encode())
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

    fn release(&mut self) {
        self.proof = None;
        self.client = None;
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

/// What a keyslot keeps of a FIDO2 credential (`docs/vault-format.md`, "Kinds of keyslot").
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) credential_id: Vec<u8>,
    pub(super) salts: [[u8; 32]; 2],
    pub(super) user_verified: bool,
    pub(super) aaguid: [u8; 16],
}

impl Binding {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.write(&mut Encoder::new(&mut bytes));
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        bytes
    }

    fn write(
        &self,
        out: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.map(5)?.u8(0)?.bytes(&self.credential_id)?.u8(1)?.str(RP_ID)?.u8(2)?.array(2)?;
        for salt in &self.salts {
            out.bytes(salt)?;
        }
        out.u8(3)?.bool(self.user_verified)?.u8(4)?.bytes(&self.aaguid)?;
        Ok(())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, TokenError> {
        let binding = Self::read(bytes).filter(|binding| binding.encode() == bytes);
        binding.ok_or(TokenError::Binding)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(bytes);
        let key = |from: &mut Decoder<'_>, expected: u8| (from.u8().ok()? == expected).then_some(());
        (from.map().ok()? == Some(5)).then_some(())?;
        key(&mut from, 0)?;
        let credential_id = from.bytes().ok().filter(|id| (1..=1024).contains(&id.len()))?.to_vec();
        key(&mut from, 1)?;
        (from.str().ok()? == RP_ID).then_some(())?;
        key(&mut from, 2)?;
        (from.array().ok()? == Some(2)).then_some(())?;
        let salts = [from.bytes().ok()?.try_into().ok()?, from.bytes().ok()?.try_into().ok()?];
        key(&mut from, 3)?;
        let user_verified = from.bool().ok()?;
        key(&mut from, 4)?;
        let aaguid = from.bytes().ok()?.try_into().ok()?;
        (from.position() == bytes.len()).then_some(Self { credential_id, salts, user_verified, aaguid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_read_as_it_was_written_and_in_no_other_form() {
        let binding = Binding {
            credential_id: vec![7; 70],
            salts: [[1; 32], [2; 32]],
            user_verified: true,
            aaguid: [3; 16],
        };
        let bytes = binding.encode();
        assert_eq!(Binding::decode(&bytes), Ok(binding));
        for length in 0..bytes.len() {
            assert_eq!(Binding::decode(&bytes[..length]), Err(TokenError::Binding));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Binding::decode(&longer), Err(TokenError::Binding));
        let mut other_rp = bytes;
        let at = other_rp.windows(8).position(|window| window == b"rootseal").unwrap();
        other_rp[at] = b'R';
        assert_eq!(Binding::decode(&other_rp), Err(TokenError::Binding));
    }
}
