//! The events of `/dev/uhid` (`linux/uhid.h`), as far as a FIDO device needs them.

use std::{io, os::fd::OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::Arrival;
use crate::hid::{DESCRIPTOR, REPORT_SIZE, Report};

const CLOSE: u32 = 5;
const OUTPUT: u32 = 6;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;

const BUS_USB: u16 = 3;
/// The pid.codes vendor with its product for private tests.
const VENDOR: u32 = 0x1209;
const PRODUCT: u32 = 0x0001;
const VERSION: u32 = 1;
const COUNTRY: u32 = 0;

const NAME_SIZE: usize = 128;
const TEXT_SIZE: usize = 64;
const DATA_SIZE: usize = 4096;

pub(super) fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open("/dev/uhid", flags, Mode::empty()).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(
            error.kind(),
            format!("cannot open /dev/uhid (is the uhid module loaded, and may you?): {error}"),
        )
    })
}

pub(super) fn create(label: &str, serial: u32) -> Vec<u8> {
    let mut event = CREATE2.to_ne_bytes().to_vec();
    event.extend(padded(label.as_bytes(), NAME_SIZE));
    event.extend(padded(b"rootseal-virtual-token", TEXT_SIZE));
    event.extend(padded(serial.to_string().as_bytes(), TEXT_SIZE));
    event.extend(u16::try_from(DESCRIPTOR.len()).unwrap_or_default().to_ne_bytes());
    event.extend(BUS_USB.to_ne_bytes());
    for number in [VENDOR, PRODUCT, VERSION, COUNTRY] {
        event.extend(number.to_ne_bytes());
    }
    event.extend(padded(&DESCRIPTOR, DATA_SIZE));
    event
}

/// Zero-padded, and cut so that a text keeps its final zero.
fn padded(bytes: &[u8], size: usize) -> impl Iterator<Item = u8> {
    bytes.iter().copied().take(size.saturating_sub(1)).chain(std::iter::repeat(0)).take(size)
}

pub(super) fn input(report: &Report) -> Vec<u8> {
    let mut event = INPUT2.to_ne_bytes().to_vec();
    event.extend(u16::try_from(report.len()).unwrap_or_default().to_ne_bytes());
    event.extend(padded(report, DATA_SIZE));
    event
}

/// What an event says to the token; `None` for those that it need not know of. None wants an answer.
pub(super) fn arrival(event: &[u8]) -> Option<Arrival> {
    let (kind, event) = event.split_first_chunk::<4>()?;
    match u32::from_ne_bytes(*kind) {
        OUTPUT => output(event).map(Arrival::Report),
        CLOSE => Some(Arrival::NobodyListens),
        _ => None,
    }
}

fn output(event: &[u8]) -> Option<Report> {
    let (data, size) = event.split_at_checked(DATA_SIZE)?;
    let size = usize::from(u16::from_ne_bytes(*size.first_chunk()?));
    // A write to hidraw carries the report number first: 0, as there are no numbered reports.
    data.get(size.checked_sub(REPORT_SIZE)?..size)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_kernels_sizes() {
        // The whole of struct uhid_event, whose largest member is the one for CREATE2.
        assert_eq!(create("x", 1).len(), 4376);
        assert_eq!(input(&[0; 64]).len(), 4 + 2 + 4096);
    }

    #[test]
    fn an_output_event_is_read_with_and_without_a_report_number() {
        for (first, size) in [(0, 64_u16), (1, 65)] {
            let mut event = [0; 4 + 4096 + 2 + 1];
            event[..4].copy_from_slice(&OUTPUT.to_ne_bytes());
            event[4 + first..4 + first + 64].fill(9);
            event[4100..4102].copy_from_slice(&size.to_ne_bytes());
            assert_eq!(arrival(&event), Some(Arrival::Report([9; 64])));
            event[4100..4102].copy_from_slice(&63_u16.to_ne_bytes());
            assert_eq!(arrival(&event), None);
        }
        assert_eq!(arrival(&OUTPUT.to_ne_bytes()), None);
        assert_eq!(arrival(&[]), None);
    }

    #[test]
    fn of_the_other_events_only_close_matters() {
        for kind in (0..16).filter(|kind| *kind != OUTPUT) {
            let told = (kind == CLOSE).then_some(Arrival::NobodyListens);
            assert_eq!(arrival(&[kind.to_ne_bytes().as_slice(), &[0; 4372]].concat()), told, "{kind}");
        }
    }
}
