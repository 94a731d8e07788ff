//! Whatever a card says, we end with an answer or an error.

use super::super::*;
use super::{P256_CERTIFICATE, patience, unhex};
use crate::channel::{After, Card, ChannelError, Patience};
use crate::secret::{ManagementKey, Pin};

/// Says the same to everything but SELECT.
struct Parrot(Vec<u8>);

impl Card for Parrot {
    fn begin(&mut self, _patience: &Patience) -> Result<(), ChannelError> {
        Ok(())
    }

    fn transmit(&mut self, command: &[u8], _patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        Ok(if command[1] == 0xa4 { vec![0x90, 0x00] } else { self.0.clone() })
    }

    fn end(&mut self, _after: After) {}
}

/// All that can be asked of PIV; returns how much of it succeeded.
fn ask_everything(card: &mut dyn Card) -> usize {
    let patience = patience();
    let mut piv = Piv::open(card, &patience).unwrap();
    let (slot, point) = (Slot::KEY_MANAGEMENT, unhex(super::P256_POINT));
    [
        piv.guid().is_ok(),
        piv.pin_tries().is_ok(),
        piv.verify_pin(&Pin::copy_from(b"123456"), true).is_ok(),
        piv.keys().is_ok_and(|keys| keys.iter().any(|(_, key)| key.is_ok())),
        piv.open_sealed(slot, Algorithm::EccP256, &point, b"").is_ok(),
        piv.open_sealed(slot, Algorithm::Rsa4096, &[1; 512], b"").is_ok(),
        piv.authenticate_management(&ManagementKey::copy_from(&[1; 24])).is_ok(),
        piv.protected_management_key().is_ok_and(|key| key.is_some()),
        piv.generate(slot, Algorithm::EccP384, None, true).is_ok(),
        piv.generate(slot, Algorithm::Rsa2048, None, true).is_ok(),
        piv.version().is_ok(),
        piv.serial().is_ok(),
        piv.attester().is_ok(),
    ]
    .into_iter()
    .filter(|good| *good)
    .count()
}

#[test]
fn garbage_of_every_length_is_an_error() {
    // A fixed sequence (xorshift), so that a failure can be repeated.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for length in 0..700 {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(state.to_le_bytes()[3]);
        }
        ask_everything(&mut Parrot(bytes.clone()));
        // With a good status the data get looked at; VERIFY alone succeeds then.
        bytes.extend([0x90, 0x00]);
        let good = ask_everything(&mut Parrot(bytes));
        assert!(good <= 4, "{good} of {length} bytes");
    }
}

#[test]
fn an_object_cut_short_anywhere_is_an_error() {
    let inner = [tlv::build(0x70, &[&unhex(P256_CERTIFICATE)]).unwrap(), unhex("710100fe00")].concat();
    let object = tlv::build(0x53, &[&inner]).unwrap();
    for cut in 0..object.len() {
        ask_everything(&mut Parrot([&object[..cut], &[0x90, 0x00]].concat()));
        // The outer length is put right, so that what is inside is cut short.
        let inside = tlv::build(0x53, &[&inner[..cut.min(inner.len() - 6)]]).unwrap();
        let mut card = Parrot([&inside[..], &[0x90, 0x00]].concat());
        let patience = patience();
        let mut piv = Piv::open(&mut card, &patience).unwrap();
        let key = piv.key(Slot::KEY_MANAGEMENT);
        assert!(key.is_err(), "{cut}: {key:?}");
    }
}
