//! Tokens on USB, NFC or Bluetooth that the kernel shows as `/dev/hidrawN`.
//!
//! `hidapi` finds them (it reads udev's data and the report descriptors), but does not carry the reports:
//! its `read_timeout` cannot wait for a cancel at the same time, and a cancel must reach the token at once.
//! So the node is opened, polled, read and written here; hidraw needs no more than that.

use super::REPORT;
use super::wait::{failed, readable};
use crate::channel::{Channel, ChannelError, Patience};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// CTAP 2.1 section 11.2.8.1: what a token's report descriptor says.
const FIDO_USAGE_PAGE: u16 = 0xf1d0;
const FIDO_USAGE_CTAPHID: u16 = 0x01;

/// A token that is plugged in. The texts are the device's own words: not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HidDevice {
    /// The device node.
    pub path: PathBuf,
    /// USB vendor.
    pub vendor_id: u16,
    /// USB product.
    pub product_id: u16,
    /// Name of the product.
    pub product: Option<String>,
    /// Serial number; most FIDO tokens have none.
    pub serial: Option<String>,
}

/// All FIDO tokens plugged in now.
///
/// # Errors
/// [`ChannelError::Io`] if the devices cannot be listed.
pub fn fido_devices() -> Result<Vec<HidDevice>, ChannelError> {
    devices(|device| device.usage_page() == FIDO_USAGE_PAGE && device.usage() == FIDO_USAGE_CTAPHID)
}

/// Those that `wanted` picks.
pub(super) fn devices(wanted: impl Fn(&hidapi::DeviceInfo) -> bool) -> Result<Vec<HidDevice>, ChannelError> {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let api = hidapi::HidApi::new().or(Err(ChannelError::Io(ErrorKind::Other)))?;
    let mut found: Vec<HidDevice> = api
        .device_list()
        .filter(|device| wanted(device))
        .map(|device| HidDevice {
            path: PathBuf::from(OsStr::from_bytes(device.path().to_bytes())),
            vendor_id: device.vendor_id(),
            product_id: device.product_id(),
            product: text(device.product_string()),
            serial: text(device.serial_number()),
        })
        .collect();
    // A device is listed once for each of its usages.
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

/// An open device node.
#[derive(Debug)]
pub struct HidrawChannel(OwnedFd);

impl HidrawChannel {
    /// Opens a device node.
    ///
    /// # Errors
    /// [`ChannelError::Gone`] if it is no longer there; [`ChannelError::Io`] with
    /// [`ErrorKind::PermissionDenied`] if udev's rules do not let this user in.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ChannelError> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let node = open(path.as_ref(), flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => ChannelError::Gone,
            other => failed(other),
        })?;
        Ok(Self(node))
    }
}

impl Channel for HidrawChannel {
    fn send(&mut self, frame: &[u8]) -> Result<(), ChannelError> {
        // A device with one report has no report numbers; hidraw wants a zero in that place.
        let report = [&[0], frame].concat();
        match rustix::io::write(&self.0, &report).map_err(failed)? {
            length if length == report.len() => Ok(()),
            _ => Err(ChannelError::Io(ErrorKind::WriteZero)),
        }
    }

    fn receive(&mut self, patience: &Patience) -> Result<Vec<u8>, ChannelError> {
        readable(&self.0, patience)?;
        // One byte more than a report, to notice a longer one.
        let mut report = [0; REPORT + 1];
        let length = rustix::io::read(&self.0, &mut report).map_err(failed)?;
        match report.get(..length) {
            Some([]) => Err(ChannelError::Gone),
            Some(bytes) if length == REPORT => Ok(bytes.to_vec()),
            _ => Err(ChannelError::Io(ErrorKind::InvalidData)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Cancel;
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
    use std::time::Instant;

    /// A pair of sockets behaves like hidraw as far as reports go: one for each read and write.
    #[test]
    fn a_report_number_goes_out_and_none_comes_in() {
        let (ours, peer) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let mut channel = HidrawChannel(ours);
        let patience = Patience { deadline: Instant::now(), cancel: Cancel::new().unwrap() };
        channel.send(&[7; REPORT]).unwrap();
        let mut got = [9; 100];
        assert_eq!(recv(&peer, &mut got[..], RecvFlags::empty()).unwrap().1, REPORT + 1);
        assert_eq!(got[..3], [0, 7, 7]);
        for length in [63, 65, 66] {
            send(&peer, &vec![0; length], SendFlags::empty()).unwrap();
            assert_eq!(channel.receive(&patience), Err(ChannelError::Io(ErrorKind::InvalidData)));
        }
        send(&peer, &[5; REPORT], SendFlags::empty()).unwrap();
        assert_eq!(channel.receive(&patience), Ok(vec![5; REPORT]));
        assert_eq!(channel.receive(&patience), Err(ChannelError::TimedOut));
        patience.cancel.cancel();
        assert_eq!(channel.receive(&patience), Err(ChannelError::Cancelled));
        drop(peer);
        let fresh = Patience { cancel: Cancel::new().unwrap(), ..patience };
        assert_eq!(channel.receive(&fresh), Err(ChannelError::Gone));
    }

    #[test]
    fn a_node_that_is_not_there_is_gone() {
        assert_eq!(HidrawChannel::open("/dev/hidraw-none").err(), Some(ChannelError::Gone));
    }

    #[test]
    fn a_machine_with_any_devices_or_none_can_be_listed() {
        fido_devices().unwrap();
    }
}
