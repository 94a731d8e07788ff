//! Endpoint zero: the requests that every device answers (USB 2.0, section 9.4), and those of the two classes
//! (HID 1.11, section 7.2; CCID 1.1, section 5.3) that are no interface's own. None of them changes anything here.

use super::{descriptor::Descriptors, urb::Setup};

// `bmRequestType`: direction, kind and recipient.
const FROM_DEVICE: u8 = 0x80;
const FROM_INTERFACE: u8 = 0x81;
const FROM_ENDPOINT: u8 = 0x82;
const TO_DEVICE: u8 = 0x00;
const TO_INTERFACE: u8 = 0x01;
const TO_ENDPOINT: u8 = 0x02;
const CLASS_TO_INTERFACE: u8 = 0x21;

const GET_STATUS: u8 = 0;
const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const GET_DESCRIPTOR: u8 = 6;
const GET_CONFIGURATION: u8 = 8;
const SET_CONFIGURATION: u8 = 9;
const GET_INTERFACE: u8 = 10;
const SET_INTERFACE: u8 = 11;

const HID_SET_IDLE: u8 = 10;
const CARD_ABORT: u8 = 1;

/// Answers a request with data for the host (empty for a request that brings some); `None` refuses it.
pub(super) fn answer(descriptors: &Descriptors, setup: Setup) -> Option<Vec<u8>> {
    let [kind, request, index, number, interface, ..] = setup;
    match (kind, request) {
        (FROM_DEVICE, GET_DESCRIPTOR) => descriptors.of_device(number, index),
        (FROM_INTERFACE, GET_DESCRIPTOR) => Descriptors::of_interface(interface, number, index),
        (FROM_DEVICE | FROM_INTERFACE | FROM_ENDPOINT, GET_STATUS) => Some(vec![0, 0]),
        (FROM_DEVICE, GET_CONFIGURATION) => Some(vec![1]),
        (FROM_INTERFACE, GET_INTERFACE) => Some(vec![0]),
        (TO_DEVICE, SET_CONFIGURATION)
        | (TO_INTERFACE, SET_INTERFACE)
        | (TO_DEVICE | TO_INTERFACE | TO_ENDPOINT, CLEAR_FEATURE | SET_FEATURE)
        // An abort is done when its message comes; what is said here only announces it.
        | (CLASS_TO_INTERFACE, HID_SET_IDLE | CARD_ABORT) => Some(Vec::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_found_by_kind_and_index() {
        let descriptors = Descriptors::new("name", 7);
        let serial = answer(&descriptors, [0x80, 6, 3, 3, 9, 4, 255, 0]).unwrap();
        assert_eq!(serial, [4, 3, b'7', 0]);
        let report = answer(&descriptors, [0x81, 6, 0, 0x22, 1, 0, 34, 0]).unwrap();
        assert_eq!(report, crate::hid::DESCRIPTOR);
        // A full-speed device has no qualifier.
        assert_eq!(answer(&descriptors, [0x80, 6, 0, 6, 0, 0, 10, 0]), None);
    }

    #[test]
    fn every_request_is_answered_or_refused() {
        let descriptors = Descriptors::new("name", 7);
        assert_eq!(answer(&descriptors, [0, 9, 1, 0, 0, 0, 0, 0]), Some(Vec::new()));
        assert_eq!(answer(&descriptors, [0x21, 10, 0, 0, 0, 0, 0, 0]), Some(Vec::new()));
        assert_eq!(answer(&descriptors, [0x82, 0, 0, 0, 2, 0, 2, 0]), Some(vec![0, 0]));
        for kind in 0..=u8::MAX {
            for request in 0..=u8::MAX {
                let answered = answer(&descriptors, [kind, request, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
                assert!(kind & 0x80 != 0 || answered.is_none_or(|data| data.is_empty()));
            }
        }
    }
}
