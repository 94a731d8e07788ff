//! GET METADATA, Yubico's instruction F7.

use piv_authenticator::Client;

use super::{
    MANAGEMENT, PIN, PUK, Piv, VERIFY,
    record::{PinPolicy, TDES, TRIES, TouchPolicy},
};
use crate::card::{
    apdu::{Answer, Command, Status},
    tlv::element,
};

const ALGORITHM: u16 = 0x01;
const POLICY: u16 = 0x02;
const ORIGIN: u16 = 0x03;
const PUBLIC_KEY: u16 = 0x04;
const IS_DEFAULT: u16 = 0x05;
const RETRIES: u16 = 0x06;

const GENERATED: u8 = 1;
/// What stands for an algorithm where there is none.
const NO_ALGORITHM: u8 = 0xFF;

impl<T: Client> Piv<'_, T> {
    /// What is known of a key, a PIN or a PUK.
    pub(super) fn metadata(&mut self, reference: u8) -> Answer {
        let record = self.record()?;
        let code = |changed: bool, left: u8| {
            [
                element(ALGORITHM, &[NO_ALGORITHM]),
                element(IS_DEFAULT, &[u8::from(!changed)]),
                element(RETRIES, &[TRIES, left]),
            ]
            .concat()
        };
        Ok(match reference {
            PIN => code(record.pin_changed, self.pin_tries()),
            PUK => code(record.puk_changed, TRIES.saturating_sub(record.puk_failures)),
            MANAGEMENT => [
                element(ALGORITHM, &[record.management.unwrap_or(TDES)]),
                element(POLICY, &[PinPolicy::Never as u8, TouchPolicy::Never as u8]),
                element(IS_DEFAULT, &[u8::from(record.management.is_none())]),
            ]
            .concat(),
            slot => {
                let key = record.keys.get(&slot).ok_or(Status::REFERENCE)?;
                [
                    element(ALGORITHM, &[key.algorithm]),
                    element(POLICY, &[key.pin as u8, key.touch as u8]),
                    element(ORIGIN, &[GENERATED]),
                    element(PUBLIC_KEY, &self.given_out(key.public.clone())),
                ]
                .concat()
            }
        })
    }

    /// An empty VERIFY tells how many tries are left, unless the PIN is verified: then it is all of them.
    fn pin_tries(&mut self) -> u8 {
        let ask = Command { cla: 0, ins: VERIFY, p1: 0, p2: PIN, data: Vec::new(), room: 0 };
        match self.pass(&ask) {
            Err(Status(status)) if status & 0xFFF0 == 0x63C0 => status.to_be_bytes()[1] & 0x0F,
            Err(_) => 0,
            Ok(_) => TRIES,
        }
    }
}
