//! A token that computes: the other side of every command of ours, with faults to switch on.

use super::mock::{CBOR, KEEPALIVE, Mock, Step};
use crate::crypto::ecdsa::PublicKey;
use crate::ctap::cbor::{self, Map, Value};
use crate::ctap::message::KeyAgreement;
use crate::ctap::protocol::{PinUvAuthProtocol, SharedSecret, public};
use minicbor::Encoder;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};

pub(super) const PIN: &str = "123456";
pub(super) const RP: &str = "rootseal.test";
pub(super) const ID: &[u8] = b"the credential's id";
const KEY: u8 = 0x43;
const PIN_TOKEN: [u8; 32] = [0x77; 32];

/// How a [`Fake`] behaves; the default is a CTAP 2.1 token with a PIN.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault or a feature of its own")]
pub(super) struct Behaviour {
    pub(super) protocol: PinUvAuthProtocol,
    pub(super) permissions: bool,
    pub(super) force_pin_change: bool,
    pub(super) client_pin: Option<bool>,
    pub(super) hmac_secret: bool,
    /// Answers every command of this number with this status.
    pub(super) refuse: Option<(u8, u8)>,
    /// Flipped in the flags of authenticator data.
    pub(super) flags: u8,
    pub(super) rp: &'static str,
    pub(super) id: &'static [u8],
    /// Bytes cut off the outputs.
    pub(super) cut: usize,
    pub(super) enabled: bool,
    pub(super) names_credential: bool,
    /// What the credential's private key is made of.
    pub(super) key: u8,
    /// Signs for this client data hash, whatever was sent.
    pub(super) signs_for: Option<[u8; 32]>,
    /// What COSE says that the credential's key is for.
    pub(super) algorithm: i8,
    pub(super) max_id: u8,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            protocol: PinUvAuthProtocol::Two,
            permissions: true,
            force_pin_change: false,
            client_pin: Some(true),
            hmac_secret: true,
            refuse: None,
            flags: 0,
            rp: RP,
            id: ID,
            cut: 0,
            enabled: true,
            names_credential: true,
            key: KEY,
            signs_for: None,
            algorithm: -7,
            max_id: 64,
        }
    }
}

/// Subcommands and commands that arrived, as `(command, subcommand)`.
pub(super) type Seen = Arc<Mutex<Vec<(u8, u8)>>>;

pub(super) fn fake(behaviour: Behaviour) -> (Mock, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let mock = Mock::new(move |message| {
        let (command, body) = message.payload.split_first().unwrap();
        let mut reply = vec![0];
        let subcommand = match (command, body) {
            (6, _) => cbor::decode(body).unwrap().map().unwrap().at(2).unwrap().unsigned().unwrap(),
            _ => 0,
        };
        log.lock().unwrap().push((*command, subcommand.try_into().unwrap()));
        match behaviour.answer(*command, body) {
            _ if behaviour.refuse.is_some_and(|(refused, _)| refused == *command) => {
                reply = vec![behaviour.refuse.unwrap().1];
            }
            Ok(body) => reply.extend(body),
            Err(status) => reply = vec![status],
        }
        let touch = matches!((command, body), (1 | 2, _));
        let mut steps = vec![Step::Ours(KEEPALIVE, vec![2]); usize::from(touch)];
        steps.push(Step::Ours(CBOR, reply));
        steps
    });
    (mock, seen)
}

type Reply = Result<Vec<u8>, u8>;

impl Behaviour {
    fn answer(&self, command: u8, body: &[u8]) -> Reply {
        if command == 4 {
            return Ok(self.get_info());
        }
        let value = cbor::decode(body).unwrap();
        let map = value.map().unwrap();
        match command {
            1 => self.make_credential(map),
            2 => self.get_assertion(map),
            6 => self.client_pin(map),
            _ => Err(0x01),
        }
    }

    fn get_info(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::new());
        e.map(if self.force_pin_change { 7 } else { 6 }).unwrap();
        e.u8(1).unwrap().array(1).unwrap().str("FIDO_2_1").unwrap();
        let extension = if self.hmac_secret { "hmac-secret" } else { "credProtect" };
        e.u8(2).unwrap().array(1).unwrap().str(extension).unwrap();
        e.u8(3).unwrap().bytes(&[0xaa; 16]).unwrap().u8(4).unwrap();
        e.map(1 + u64::from(self.client_pin.is_some())).unwrap();
        if let Some(set) = self.client_pin {
            e.str("clientPin").unwrap().bool(set).unwrap();
        }
        e.str("pinUvAuthToken").unwrap().bool(self.permissions).unwrap();
        e.u8(6).unwrap().array(1).unwrap().u8(self.protocol.number()).unwrap();
        e.u8(8).unwrap().u8(self.max_id).unwrap();
        if self.force_pin_change {
            e.u8(0x0c).unwrap().bool(true).unwrap();
        }
        e.into_writer()
    }

    fn client_pin(&self, map: &Map<'_>) -> Reply {
        let mut e = Encoder::new(Vec::new());
        assert_eq!(map.at(1), Some(&Value::Int(self.protocol.number().into())));
        match map.at(2).unwrap().unsigned().unwrap() {
            1 => e
                .map(2)
                .unwrap()
                .u8(3)
                .unwrap()
                .u8(5)
                .unwrap()
                .u8(4)
                .unwrap()
                .bool(true)
                .unwrap()
                .ok()
                .unwrap(),
            2 => {
                let KeyAgreement { x, y } = public(&token_key()).unwrap();
                e.map(1).unwrap().u8(1).unwrap().map(5).unwrap();
                e.i8(1)
                    .unwrap()
                    .i8(2)
                    .unwrap()
                    .i8(3)
                    .unwrap()
                    .i8(-25)
                    .unwrap()
                    .i8(-1)
                    .unwrap()
                    .i8(1)
                    .unwrap();
                e.i8(-2).unwrap().bytes(&x).unwrap().i8(-3).unwrap().bytes(&y).unwrap();
            }
            subcommand => {
                assert_eq!(subcommand, if self.permissions { 9 } else { 5 });
                if self.permissions {
                    assert!(matches!(map.at(9), Some(Value::Int(1 | 2))));
                    assert_eq!(map.at(10), Some(&Value::Text(RP)));
                }
                let secret = self.secret(map.at(3).unwrap().map().unwrap());
                let hash = secret.decrypt(map.at(6).unwrap().bytes().unwrap()).unwrap();
                if hash[..] != Sha256::digest(PIN)[..16] {
                    return Err(0x31);
                }
                let token = secret.encrypt(&PIN_TOKEN[..32 - self.cut]).unwrap();
                e.map(1).unwrap().u8(2).unwrap().bytes(&token).unwrap();
            }
        }
        Ok(e.into_writer())
    }

    fn make_credential(&self, map: &Map<'_>) -> Reply {
        assert_eq!(map.at(6).unwrap().map().unwrap().named("hmac-secret"), Some(&Value::Bool(true)));
        assert_eq!(map.at(7), None, "neither discoverable nor anything else");
        let verified = self.verified(map, map.at(1), (8, 9))?;
        let mut data = self.auth_data(0xc1 | verified);
        data.extend([0xaa; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(self.id);
        let mut e = Encoder::new(data);
        let point = *credential_key(self.key).as_bytes();
        let (x, y) = point[1..].split_at(32);
        e.map(5).unwrap().i8(1).unwrap().i8(2).unwrap().i8(3).unwrap().i8(self.algorithm).unwrap();
        e.i8(-1).unwrap().i8(1).unwrap().i8(-2).unwrap().bytes(x).unwrap().i8(-3).unwrap().bytes(y).unwrap();
        e.map(1).unwrap().str("hmac-secret").unwrap().bool(self.enabled).unwrap();
        let data = e.into_writer();
        let mut e = Encoder::new(Vec::new());
        e.map(3).unwrap().u8(1).unwrap().str("none").unwrap().u8(2).unwrap().bytes(&data).unwrap();
        e.u8(3).unwrap().map(0).unwrap();
        Ok(e.into_writer())
    }

    fn get_assertion(&self, map: &Map<'_>) -> Reply {
        assert_eq!(map.at(1), Some(&Value::Text(RP)));
        let [allowed] = map.at(3).unwrap().array().unwrap() else { panic!("one credential at a time") };
        if allowed.map().unwrap().named("id").unwrap().bytes().unwrap() != ID {
            return Err(0x2e);
        }
        let up = map.at(5).is_none();
        let verified = self.verified(map, map.at(2), (6, 7))?;
        let mut data = self.auth_data(u8::from(up) | verified);
        if let Some(extensions) = map.at(4) {
            assert!(up, "hmac-secret needs a touch");
            let input = extensions.map().unwrap().named("hmac-secret").unwrap().map().unwrap();
            let secret = self.secret(input.at(1).unwrap().map().unwrap());
            let salt_enc = input.at(2).unwrap().bytes().unwrap();
            assert_eq!(secret.authenticate(salt_enc).unwrap(), input.at(3).unwrap().bytes().unwrap());
            assert_eq!(input.at(4).is_some(), self.protocol == PinUvAuthProtocol::Two);
            let salts = secret.decrypt(salt_enc).unwrap();
            let outputs: Vec<u8> = salts.chunks(32).flat_map(|salt| output(salt, verified != 0)).collect();
            let encrypted = secret.encrypt(&outputs[..outputs.len() - self.cut]).unwrap();
            data[32] |= 0x80;
            let mut e = Encoder::new(data);
            e.map(1).unwrap().str("hmac-secret").unwrap().bytes(&encrypted).unwrap();
            data = e.into_writer();
        }
        let asked = map.at(2).unwrap().bytes().unwrap().try_into().unwrap();
        let message = [&data[..], &self.signs_for.unwrap_or(asked)].concat();
        let signature: Signature = SigningKey::from_slice(&[self.key; 32]).unwrap().sign(&message);
        let mut e = Encoder::new(Vec::new());
        e.map(2 + u64::from(self.names_credential)).unwrap();
        if self.names_credential {
            e.u8(1).unwrap().map(2).unwrap().str("id").unwrap().bytes(self.id).unwrap();
            e.str("type").unwrap().str("public-key").unwrap();
        }
        e.u8(2).unwrap().bytes(&data).unwrap().u8(3).unwrap().bytes(signature.to_der().as_bytes()).unwrap();
        Ok(e.into_writer())
    }

    /// The UV flag, if the request proves the PIN.
    fn verified(
        &self,
        map: &Map<'_>,
        hash: Option<&Value<'_>>,
        (param, protocol): (i64, i64),
    ) -> Result<u8, u8> {
        let Some(param) = map.at(param) else { return Ok(0) };
        assert_eq!(map.at(protocol), Some(&Value::Int(self.protocol.number().into())));
        let expected = self.protocol.authenticate(&PIN_TOKEN, hash.unwrap().bytes().unwrap()).unwrap();
        if param.bytes().unwrap() == expected { Ok(0x04) } else { Err(0x33) }
    }

    fn auth_data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp).to_vec();
        data.push(flags ^ self.flags);
        data.extend([0, 0, 0, 1]);
        data
    }

    fn secret(&self, key: &Map<'_>) -> SharedSecret {
        let coordinate = |at| key.at(at).unwrap().bytes().unwrap().try_into().unwrap();
        let platform = KeyAgreement { x: coordinate(-2), y: coordinate(-3) };
        SharedSecret::agree(self.protocol, &token_key(), &platform).unwrap()
    }
}

fn token_key() -> SecretKey {
    SecretKey::from_slice(&[0x42; 32]).unwrap()
}

/// What the credential with the default key is known by.
pub(super) fn our_key() -> PublicKey {
    credential_key(KEY)
}

fn credential_key(secret: u8) -> PublicKey {
    let secret = SecretKey::from_slice(&[secret; 32]).unwrap();
    let KeyAgreement { x, y } = public(&secret).unwrap();
    PublicKey::from_bytes(&[&[4][..], &x, &y].concat().try_into().unwrap()).unwrap()
}

/// What the credential answers to a salt.
pub(super) fn output(salt: &[u8], verified: bool) -> [u8; 32] {
    Sha256::digest([salt, &[u8::from(verified)]].concat()).into()
}
