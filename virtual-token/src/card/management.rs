//! Yubico's management application, as far as ykman asks it what the key is.

use super::{
    Identity,
    apdu::{Answer, Command, Status},
    tlv::element,
};

/// Its AID.
pub(super) const AID: &[u8] = &[0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];

const READ_CONFIG: u8 = 0x1D;

// The applications, as one number (ykman's `CAPABILITY`).
const OTP: u16 = 0x01;
const U2F: u16 = 0x02;
const PIV: u16 = 0x10;
const OATH: u16 = 0x20;
const FIDO2: u16 = 0x200;

/// A keychain with a USB-A plug.
const FORM_FACTOR: u8 = 1;

/// Answers SELECT.
pub(super) fn select(identity: Identity) -> Vec<u8> {
    let [major, minor, patch] = identity.version;
    format!("Virtual mgr - FW version {major}.{minor}.{patch}").into_bytes()
}

/// Answers a command.
///
/// # Errors
/// [`Status::INSTRUCTION`].
pub(super) fn answer(identity: Identity, command: &Command) -> Answer {
    match (command.ins, command.p1) {
        (READ_CONFIG, 0) => {}
        (READ_CONFIG, _) => return Err(Status::PARAMETERS),
        _ => return Err(Status::INSTRUCTION),
    }
    let applications = (OTP | PIV | OATH | if identity.with_fido { U2F | FIDO2 } else { 0 }).to_be_bytes();
    let info = [
        element(0x01, &applications),
        element(0x02, &identity.serial.to_be_bytes()),
        element(0x03, &applications),
        element(0x04, &[FORM_FACTOR]),
        element(0x05, &identity.version),
        element(0x0A, &[0]),
    ]
    .concat();
    let mut answer = vec![u8::try_from(info.len()).unwrap_or(u8::MAX)];
    answer.extend(info);
    Ok(answer)
}
