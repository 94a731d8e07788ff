//! What the device says about itself (USB 2.0, section 9.6; HID 1.11, section 6.2.1; CCID 1.1, section 5.1): a
//! `YubiKey` 5 with all its interfaces. Yubico's tools and the drivers' lists go by that.

use super::ccid::MAX_MESSAGE;
use crate::{card::Identity, hid::DESCRIPTOR};

/// The keyboard's endpoint, to the host.
pub(super) const KEYBOARD_ENDPOINT: u8 = 1;
/// FIDO's endpoint, in both directions.
pub(super) const HID_ENDPOINT: u8 = 4;
/// The smart card interface's endpoint, in both directions.
pub(super) const CARD_ENDPOINT: u8 = 2;

const VENDOR: u16 = 0x1050;
const PRODUCT: u16 = 0x0407;

/// The largest packet, on every endpoint.
pub(super) const PACKET: usize = 64;

// The kinds of descriptor.
const DEVICE: u8 = 0x01;
const CONFIGURATION: u8 = 0x02;
const STRING: u8 = 0x03;
const INTERFACE: u8 = 0x04;
const ENDPOINT: u8 = 0x05;
/// HID's own, and by the same number CCID's own.
const CLASS: u8 = 0x21;
const HID_REPORT: u8 = 0x22;

const TO_HOST: u8 = 0x80;
const BULK: u8 = 2;
const INTERRUPT: u8 = 3;

pub(super) const KEYBOARD_INTERFACE: u8 = 0;
const HID_INTERFACE: u8 = 1;
const CARD_INTERFACE: u8 = 2;

// Class, subclass and protocol.
/// One that a BIOS understands, too.
const KEYBOARD_CLASS: [u8; 3] = [3, 1, 1];
const HID_CLASS: [u8; 3] = [3, 0, 0];
const CARD_CLASS: [u8; 3] = [0x0B, 0, 0];

/// What the keyboard's reports are (HID 1.11, section 6.2.2).
const KEYBOARD: [u8; 71] = [
    // Usage page and usage: generic desktop, keyboard. A collection of what follows.
    0x05, 0x01, 0x09, 0x06, 0xA1, 0x01,
    // In: a bit for each of the eight keys that only change others, of the page of keys; a byte of nothing.
    0x05, 0x07, 0x19, 0xE0, 0x29, 0xE7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, //
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01, // Out: a bit for each of five lights; three of nothing.
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, //
    0x95, 0x01, 0x75, 0x03, 0x91, 0x01, // In: six bytes, each the number of a key that is down.
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00,
    // Feature: eight bytes of the maker's.
    0x09, 0x03, 0x75, 0x08, 0x95, 0x08, 0xB1, 0x02, 0xC0,
];

const ENGLISH: u16 = 0x0409;

/// The descriptors of one device.
#[derive(Debug)]
pub(super) struct Descriptors {
    product: String,
    serial: String,
}

impl Descriptors {
    /// Of a device with this product name and serial number.
    pub(super) fn new(product: &str, serial: u32) -> Self {
        Self { product: product.to_owned(), serial: serial.to_string() }
    }

    /// The descriptor of this kind and index that the device has (`wValue` of `GET_DESCRIPTOR`).
    pub(super) fn of_device(&self, kind: u8, index: u8) -> Option<Vec<u8>> {
        match (kind, index) {
            (DEVICE, 0) => Some(device()),
            (CONFIGURATION, 0) => Some(configuration()),
            (STRING, 0) => Some(described(STRING, &ENGLISH.to_le_bytes())),
            (STRING, 1) => Some(string("Yubico")),
            (STRING, 2) => Some(string(&self.product)),
            (STRING, 3) => Some(string(&self.serial)),
            _ => None,
        }
    }

    /// The descriptor of this kind and index that an interface has.
    pub(super) fn of_interface(interface: u8, kind: u8, index: u8) -> Option<Vec<u8>> {
        match (interface, kind, index) {
            (KEYBOARD_INTERFACE, CLASS, 0) => Some(hid(&KEYBOARD)),
            (KEYBOARD_INTERFACE, HID_REPORT, 0) => Some(KEYBOARD.to_vec()),
            (HID_INTERFACE, CLASS, 0) => Some(hid(&DESCRIPTOR)),
            (HID_INTERFACE, HID_REPORT, 0) => Some(DESCRIPTOR.to_vec()),
            (CARD_INTERFACE, CLASS, 0) => Some(ccid()),
            _ => None,
        }
    }
}

/// Puts a descriptor's length and kind in front.
fn described(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut whole = vec![u8::try_from(body.len()).unwrap_or_default().saturating_add(2), kind];
    whole.extend(body);
    whole
}

fn string(text: &str) -> Vec<u8> {
    // What fits into a length of one byte.
    let units: Vec<u8> = text.encode_utf16().take(126).flat_map(u16::to_le_bytes).collect();
    described(STRING, &units)
}

fn device() -> Vec<u8> {
    let [major, minor, patch] = Identity::VERSION;
    let mut body = vec![0x00, 0x02, 0, 0, 0, u8::try_from(PACKET).unwrap_or_default()];
    body.extend(VENDOR.to_le_bytes());
    body.extend(PRODUCT.to_le_bytes());
    // The release: 5.4.3 is 0x0543.
    body.extend([minor << 4 | patch, major]);
    // The strings: manufacturer, product, serial number; then one configuration.
    body.extend([1, 2, 3, 1]);
    described(DEVICE, &body)
}

fn configuration() -> Vec<u8> {
    let parts = [
        interface(KEYBOARD_INTERFACE, 1, KEYBOARD_CLASS),
        hid(&KEYBOARD),
        endpoint(KEYBOARD_ENDPOINT | TO_HOST, INTERRUPT, 8, 10),
        interface(HID_INTERFACE, 2, HID_CLASS),
        hid(&DESCRIPTOR),
        endpoint(HID_ENDPOINT | TO_HOST, INTERRUPT, PACKET, 2),
        endpoint(HID_ENDPOINT, INTERRUPT, PACKET, 2),
        interface(CARD_INTERFACE, 2, CARD_CLASS),
        ccid(),
        endpoint(CARD_ENDPOINT | TO_HOST, BULK, PACKET, 0),
        endpoint(CARD_ENDPOINT, BULK, PACKET, 0),
    ]
    .concat();
    // This descriptor of nine bytes counts.
    let total = u16::try_from(parts.len()).unwrap_or_default().saturating_add(9).to_le_bytes();
    // Three interfaces, configuration 1, no name, powered by the bus, 30 mA.
    let own = described(CONFIGURATION, &[&total[..], &[3, 1, 0, 0x80, 15]].concat());
    [own, parts].concat()
}

/// No name.
fn interface(number: u8, endpoints: u8, [class, subclass, protocol]: [u8; 3]) -> Vec<u8> {
    described(INTERFACE, &[number, 0, endpoints, class, subclass, protocol, 0])
}

/// Packets of at most so many bytes; the host looks again after so many milliseconds.
fn endpoint(address: u8, kind: u8, packet: usize, interval: u8) -> Vec<u8> {
    let [low, high] = u16::try_from(packet).unwrap_or_default().to_le_bytes();
    described(ENDPOINT, &[address, kind, low, high, interval])
}

fn hid(reports: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(reports.len()).unwrap_or_default().to_le_bytes();
    // HID 1.10, no country, one descriptor more: that of the reports.
    described(CLASS, &[0x10, 0x01, 0, 1, HID_REPORT, low, high])
}

fn ccid() -> Vec<u8> {
    let numbers =
        |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let longest = u32::try_from(MAX_MESSAGE).unwrap_or_default();
    let body = [
        // CCID 1.10, one slot, any voltage.
        vec![0x10, 0x01, 0, 7],
        // T=1; 4 MHz and no other clock.
        numbers(&[2, 4000, 4000]),
        vec![0],
        // 307200 bit/s and no other rate.
        numbers(&[307_200, 307_200]),
        vec![0],
        // The longest block; no synchronous protocols, no mechanics; all automatic, and whole APDUs of any length.
        numbers(&[longest.saturating_sub(10), 0, 0, 0x0004_00FE, longest]),
        // No class codes of an envelope, no display, no PIN pad, one slot busy at a time.
        vec![0xFF, 0xFF, 0, 0, 0, 1],
    ];
    described(CLASS, &body.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_a_yubikey_with_three_interfaces() {
        let device = Descriptors::new("name", 7).of_device(DEVICE, 0).unwrap();
        assert_eq!(device, [18, 1, 0, 2, 0, 0, 0, 64, 0x50, 0x10, 0x07, 0x04, 0x43, 0x05, 1, 2, 3, 1]);
    }

    #[test]
    fn the_configuration_is_a_chain_of_descriptors_of_the_right_lengths() {
        let whole = configuration();
        assert_eq!(usize::from(u16::from_le_bytes([whole[2], whole[3]])), whole.len());
        let (mut rest, mut kinds) = (&whole[..], Vec::new());
        while let [length, kind, ..] = *rest {
            kinds.push((kind, length));
            rest = &rest[usize::from(length)..];
        }
        assert!(rest.is_empty());
        let hid = [(INTERFACE, 9), (CLASS, 9), (ENDPOINT, 7), (ENDPOINT, 7)];
        let mut card = hid;
        card[1].1 = 54;
        assert_eq!(kinds, [&[(CONFIGURATION, 9)][..], &hid[..3], &hid, &card].concat());
    }

    #[test]
    fn strings_are_utf_16_and_may_be_of_any_length() {
        let descriptors = Descriptors::new("kéy", 4_294_967_295);
        assert_eq!(descriptors.of_device(STRING, 0).unwrap(), [4, 3, 9, 4]);
        assert_eq!(descriptors.of_device(STRING, 2).unwrap(), [8, 3, b'k', 0, 0xE9, 0, b'y', 0]);
        assert_eq!(descriptors.of_device(STRING, 3).unwrap().len(), 22);
        assert_eq!(descriptors.of_device(STRING, 4), None);
        let long = Descriptors::new(&"x".repeat(1000), 1).of_device(STRING, 2).unwrap();
        assert_eq!((long.len(), long[0]), (254, 254));
    }

    #[test]
    fn an_interface_has_its_own() {
        for (interface, reports) in [(0, &KEYBOARD[..]), (1, &DESCRIPTOR)] {
            assert_eq!(Descriptors::of_interface(interface, HID_REPORT, 0).unwrap(), reports);
            let class = Descriptors::of_interface(interface, CLASS, 0).unwrap();
            assert_eq!((class.len(), usize::from(class[7])), (9, reports.len()));
        }
        assert_eq!(Descriptors::of_interface(2, CLASS, 0).unwrap().len(), 54);
        assert_eq!(Descriptors::of_interface(2, HID_REPORT, 0), None);
    }
}
