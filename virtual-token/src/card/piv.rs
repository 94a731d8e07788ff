//! The PIV application (SP 800-73-4): the crate `piv-authenticator`, with what Yubico added around it: version,
//! serial, metadata, policies of PIN and touch, attestation, and Yubico's own data objects
//! (<https://docs.yubico.com/yesdk/users-manual/application-piv/>).

mod attest;
mod metadata;
mod record;

use std::time::{Duration, Instant};

use littlefs2::{object_safe::DynFilesystem, path};
use piv_authenticator::{Authenticator, Client, Options};
use trussed_core::types::Location;

use self::record::{Key, PinPolicy, Record, TouchPolicy};
use super::{
    Identity,
    apdu::{Answer, Command, Status},
    button::Button,
    store::Shelf,
    tlv::{element, find},
};
use crate::fault::Faults;

/// Its AID.
pub(super) const AID: &[u8] = &[0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00];

const VERIFY: u8 = 0x20;
const CHANGE_REFERENCE: u8 = 0x24;
const RESET_RETRY: u8 = 0x2C;
const GENERATE: u8 = 0x47;
const AUTHENTICATE: u8 = 0x87;
const SELECT: u8 = 0xA4;
const GET_DATA: u8 = 0xCB;
const PUT_DATA: u8 = 0xDB;
const METADATA: u8 = 0xF7;
const SERIAL: u8 = 0xF8;
const ATTEST: u8 = 0xF9;
const RESET: u8 = 0xFB;
const VERSION: u8 = 0xFD;
const IMPORT: u8 = 0xFE;
const SET_MANAGEMENT_KEY: u8 = 0xFF;

/// Key reference of the PIN.
const PIN: u8 = 0x80;
/// Key reference of the PUK.
const PUK: u8 = 0x81;
/// Key reference of the management key.
const MANAGEMENT: u8 = 0x9B;

/// Algorithms of keys (SP 800-78-4, table 6-2).
const P256: u8 = 0x11;
const P384: u8 = 0x14;

/// Elements of GENERAL AUTHENTICATE's template: what is to be signed, and where the signature is wanted.
const CHALLENGE: u16 = 0x81;
const RESPONSE: u16 = 0x82;

/// The element with a point, among those of a public key.
const POINT: u16 = 0x86;
const FACTORY_PIN: [u8; 8] = *b"123456\xFF\xFF";
/// Yubico's own data objects have tags from here to 5FFFFF.
const OWN_OBJECTS: [u8; 2] = [0x5F, 0xFF];
const ATTESTATION_CERTIFICATE: [u8; 3] = [0x5F, 0xFF, 0x01];

const PRINTED: [u8; 3] = [0x5F, 0xC1, 0x09];

/// How long a touch counts for a key with the policy `cached`.
const CACHE: Duration = Duration::from_secs(15);

/// The longest command, and the longest answer.
const ROOM: usize = 8192;

/// The application.
pub(super) struct Piv<'a, T> {
    app: Authenticator<T>,
    shelf: Shelf<'a>,
    button: Button,
    identity: Identity,
    faults: &'a Faults,
    /// The PIN was verified.
    verified: bool,
    /// It was, with the command before this one.
    just_verified: bool,
    /// The management key was shown.
    admin: bool,
    touched: Option<Instant>,
}

impl<'a, T: Client> Piv<'a, T> {
    /// On this flash, with the framework's client for the keys.
    pub(super) fn new(
        client: T,
        fs: &'a dyn DynFilesystem,
        button: Button,
        identity: Identity,
        faults: &'a Faults,
    ) -> Self {
        let options = Options::new()
            .storage(Location::Internal)
            .label(b"rootseal virtual token")
            .url(b"https://example.invalid/rootseal-virtual-token");
        Self {
            app: Authenticator::new(client, options),
            shelf: Shelf::new(fs, path!("card/piv")),
            button,
            identity,
            faults,
            verified: false,
            just_verified: false,
            admin: false,
            touched: None,
        }
    }

    /// Sets the PIN, unless somebody has done so before.
    pub(super) fn first_pin(&mut self, pin: &[u8]) -> Result<(), Status> {
        if self.record()?.pin_changed {
            return Ok(());
        }
        let mut data = [FACTORY_PIN, [0xFF; 8]].concat();
        let place = data.get_mut(8..).and_then(|place| place.get_mut(..pin.len())).ok_or(Status::DATA)?;
        place.copy_from_slice(pin);
        let change = Command { cla: 0, ins: CHANGE_REFERENCE, p1: 0, p2: PIN, data, room: 256 };
        self.change_reference(&change)?;
        self.deselect();
        Ok(())
    }

    /// Answers SELECT.
    ///
    /// # Errors
    /// The status word.
    pub(super) fn select(&mut self) -> Answer {
        // The crate wants more of the AID than clients send.
        self.pass(&Command { cla: 0, ins: SELECT, p1: 4, p2: 0, data: AID.to_vec(), room: 256 })
    }

    /// Another application was selected.
    pub(super) fn deselect(&mut self) {
        self.pass(&Command { cla: 0, ins: VERIFY, p1: 0xFF, p2: PIN, data: Vec::new(), room: 0 }).ok();
        (self.verified, self.just_verified, self.admin, self.touched) = (false, false, false, None);
    }

    /// Answers a command.
    ///
    /// # Errors
    /// The status word.
    pub(super) fn answer(&mut self, command: &Command) -> Answer {
        let just_verified = std::mem::take(&mut self.just_verified);
        match command.ins {
            VERSION => Ok(self.identity.version.to_vec()),
            SERIAL => Ok(self.identity.serial.to_be_bytes().to_vec()),
            METADATA => self.metadata(command.p2),
            ATTEST => self.attest(command.p1),
            // The crate takes RSA keys alone, and in slot 9a alone.
            IMPORT => Err(Status::FUNCTION),
            VERIFY => self.verify(command),
            CHANGE_REFERENCE => self.change_reference(command),
            RESET_RETRY => {
                let answer = self.pass(command);
                self.note(|record| record.puk_tried(answer.is_ok()))?;
                answer
            }
            AUTHENTICATE if command.p2 == MANAGEMENT => self.show_management_key(command),
            AUTHENTICATE => self.use_key(command, just_verified),
            RESET => {
                let answer = self.pass(command)?;
                self.deselect();
                self.shelf.save(&Record::default())?;
                Ok(answer)
            }
            GENERATE | PUT_DATA | SET_MANAGEMENT_KEY if !self.admin => Err(Status::SECURITY),
            GENERATE => self.generate(command),
            SET_MANAGEMENT_KEY => {
                let answer = self.pass(command)?;
                let algorithm = command.data.first().copied().ok_or(Status::DATA)?;
                self.note(|record| record.management = Some(algorithm))?;
                Ok(answer)
            }
            GET_DATA => self.get_data(command),
            PUT_DATA => self.put_data(command),
            _ => self.pass(command),
        }
    }

    /// Has the crate answer.
    fn pass(&mut self, command: &Command) -> Answer {
        let Command { cla, ins, p1, p2, data, .. } = command;
        let mut bytes = vec![*cla, *ins, *p1, *p2, 0];
        if !data.is_empty() {
            bytes.extend(u16::try_from(data.len()).map_err(|_long| Status::LENGTH)?.to_be_bytes());
            bytes.extend(data);
        }
        bytes.extend([0, 0]);
        let command = iso7816::Command::<ROOM>::try_from(&bytes).map_err(|_nonsense| Status::LENGTH)?;
        let mut reply = heapless::Vec::<u8, ROOM>::new();
        match self.app.respond(command.as_view(), reply.as_mut_view()) {
            Ok(()) => Ok(reply.to_vec()),
            Err(status) => Err(Status(status.into())),
        }
    }

    fn record(&self) -> Result<Record, Status> {
        self.shelf.load()
    }

    fn note(&self, change: impl FnOnce(&mut Record)) -> Result<(), Status> {
        let mut record = self.record()?;
        change(&mut record);
        self.shelf.save(&record)
    }

    fn verify(&mut self, command: &Command) -> Answer {
        let answer = self.pass(command);
        if command.p1 != 0 {
            self.verified = false;
        } else if !command.data.is_empty() {
            self.verified = answer.is_ok();
            self.just_verified = self.verified;
        }
        answer
    }

    fn change_reference(&mut self, command: &Command) -> Answer {
        let answer = self.pass(command);
        match (command.p2, answer.is_ok()) {
            (PIN, true) => self.note(|record| record.pin_changed = true)?,
            (PUK, changed) => self.note(|record| {
                record.puk_tried(changed);
                record.puk_changed |= changed;
            })?,
            _ => {}
        }
        answer
    }

    /// Whoever answers our challenge, or has us answer theirs, has the management key.
    fn show_management_key(&mut self, command: &Command) -> Answer {
        let given = |tag| {
            let template = find(&command.data, 0x7C)?;
            find(template, tag).filter(|value| !value.is_empty())
        };
        let last = given(0x82).is_some() || given(0x80).is_some();
        let answer = self.pass(command)?;
        self.admin |= last;
        Ok(answer)
    }

    fn use_key(&mut self, command: &Command, just_verified: bool) -> Answer {
        // The crate has a key in 9a from the start, which no YubiKey has.
        let record = self.record()?;
        let key = record.keys.get(&command.p2).ok_or(Status::DATA)?;
        if key.algorithm != command.p1 {
            return Err(Status::DATA);
        }
        let allowed = match key.pin {
            PinPolicy::Never => true,
            PinPolicy::Once => self.verified,
            PinPolicy::Always => self.verified && just_verified,
        };
        if !allowed {
            return Err(Status::SECURITY);
        }
        let fresh = self.touched.is_some_and(|touched| touched.elapsed() < CACHE);
        match key.touch {
            TouchPolicy::Never => {}
            TouchPolicy::Cached if fresh => {}
            TouchPolicy::Always | TouchPolicy::Cached => {
                self.button.wait()?;
                self.touched = Some(Instant::now());
            }
        }
        match stretched(key.algorithm, &command.data) {
            Some(data) => self.pass(&Command { data, ..command.clone() }),
            None => self.pass(command),
        }
    }

    fn generate(&mut self, command: &Command) -> Answer {
        let template = find(&command.data, 0xAC).ok_or(Status::DATA)?;
        let key = Key::wanted(command.p2, template)?;
        let answer = self.pass(command)?;
        let public = find(&answer, 0x7F49).ok_or(Status::MEMORY)?.to_vec();
        self.note(|record| {
            record.keys.insert(command.p2, Key { public: public.clone(), ..key });
        })?;
        Ok(element(0x7F49, &self.given_out(public)))
    }

    /// A public key as it leaves the card: a point, where the fault wants it, off its curve.
    fn given_out(&self, mut public: Vec<u8>) -> Vec<u8> {
        if find(&public, POINT).is_some() {
            self.faults.spoil_point(&mut public);
        }
        public
    }

    fn get_data(&mut self, command: &Command) -> Answer {
        match find(&command.data, 0x5C) {
            Some(tag) if tag == ATTESTATION_CERTIFICATE => self.attestation_object(),
            // The crate makes one up; a YubiKey keeps its management key there, or nothing.
            Some(tag) if tag == PRINTED && !self.record()?.printed => {
                Err(if self.verified { Status::NOT_FOUND } else { Status::SECURITY })
            }
            Some(tag) if tag.starts_with(&OWN_OBJECTS) => {
                let mut record = self.record()?;
                record
                    .objects
                    .remove(&object(tag))
                    .map(|value| element(0x53, &value))
                    .ok_or(Status::NOT_FOUND)
            }
            _ => self.pass(command),
        }
    }

    fn put_data(&mut self, command: &Command) -> Answer {
        match find(&command.data, 0x5C) {
            Some(tag) if tag.starts_with(&OWN_OBJECTS) => {
                let value = find(&command.data, 0x53).ok_or(Status::DATA)?;
                self.note(|record| match value {
                    [] => drop(record.objects.remove(&object(tag))),
                    _ => drop(record.objects.insert(object(tag), value.to_vec())),
                })?;
                Ok(Vec::new())
            }
            Some(tag) if tag == PRINTED => {
                let answer = self.pass(command)?;
                self.note(|record| record.printed = true)?;
                Ok(answer)
            }
            _ => self.pass(command),
        }
    }
}

/// What the crate wants of a hash to be signed that is shorter than the key's curve: zeros in front. A `YubiKey`
/// takes it as it is.
fn stretched(algorithm: u8, data: &[u8]) -> Option<Vec<u8>> {
    let size: usize = match algorithm {
        P256 => 32,
        P384 => 48,
        _ => return None,
    };
    let hash = find(find(data, 0x7C)?, CHALLENGE)?;
    let zeros = vec![0; size.checked_sub(hash.len())?];
    let challenge = element(CHALLENGE, &[&zeros, hash].concat());
    Some(element(0x7C, &[element(RESPONSE, &[]), challenge].concat()))
}

/// An object's name in the record.
fn object(tag: &[u8]) -> String {
    tag.iter().fold(String::new(), |name, byte| name + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_hash_is_stretched_and_nothing_else() {
        let template =
            |tag, value: &[u8]| element(0x7C, &[element(RESPONSE, &[]), element(tag, value)].concat());
        let short = template(CHALLENGE, &[7; 32]);
        let expected = template(CHALLENGE, &[[0; 16].as_slice(), &[7; 32]].concat());
        assert_eq!(stretched(P384, &short).unwrap(), expected);
        assert_eq!(stretched(P256, &short).unwrap(), short);
        // RSA, a point, a hash that is too long.
        assert_eq!(stretched(0x07, &short), None);
        assert_eq!(stretched(P384, &template(0x85, &[4; 97])), None);
        assert_eq!(stretched(P256, &template(CHALLENGE, &[7; 33])), None);
    }
}
