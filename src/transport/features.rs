//! Feature reports of a device that the kernel shows as `/dev/hidrawN`: a `YubiKey`'s keyboard.
//!
//! These go by ioctl, which `hidapi` makes; they cannot be polled for.

use super::hidraw::{HidDevice, devices};
use super::wait::sleep;
use crate::channel::{ChannelError, FEATURE_REPORT, FeatureReports, Patience};
use hidapi::{HidApi, HidDevice as Handle};
use std::ffi::CString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

/// Yubico's number among makers of USB devices.
const YUBICO: u16 = 0x1050;
/// HID usage tables: generic desktop, keyboard.
const GENERIC_DESKTOP: u16 = 0x01;
const KEYBOARD: u16 = 0x06;
/// Between two looks: a token takes some milliseconds for an HMAC.
const MOMENT: Duration = Duration::from_millis(20);

/// All keyboards of Yubico's plugged in now.
///
/// # Errors
/// [`ChannelError::Io`] if the devices cannot be listed.
pub fn yubico_keyboards() -> Result<Vec<HidDevice>, ChannelError> {
    devices(|device| {
        (device.vendor_id(), device.usage_page(), device.usage()) == (YUBICO, GENERIC_DESKTOP, KEYBOARD)
    })
}

/// An open device node.
pub struct HidrawReports(Handle);

impl HidrawReports {
    /// Opens a device node.
    ///
    /// # Errors
    /// [`ChannelError::Gone`] if it is no longer there, or this user may not open it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ChannelError> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes()).or(Err(ChannelError::Gone))?;
        let api = HidApi::new().or(Err(ChannelError::Io(ErrorKind::Other)))?;
        api.open_path(&path).map(Self).or(Err(ChannelError::Gone))
    }
}

impl FeatureReports for HidrawReports {
    fn get(&mut self) -> Result<[u8; FEATURE_REPORT], ChannelError> {
        // In front, the number of the report: a device with one has none.
        let mut numbered = [0; FEATURE_REPORT + 1];
        let length = self.0.get_feature_report(&mut numbered).or(Err(ChannelError::Gone))?;
        match numbered {
            [_, report @ ..] if length == numbered.len() => Ok(report),
            _ => Err(ChannelError::Io(ErrorKind::InvalidData)),
        }
    }

    fn set(&mut self, report: [u8; FEATURE_REPORT]) -> Result<(), ChannelError> {
        let numbered = [&[0][..], &report].concat();
        self.0.send_feature_report(&numbered).or(Err(ChannelError::Gone))
    }

    fn pause(&mut self, patience: &Patience) -> Result<(), ChannelError> {
        sleep(MOMENT, patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Cancel;
    use std::time::Instant;

    #[test]
    fn a_node_that_is_not_there_is_gone() {
        assert_eq!(HidrawReports::open("/dev/hidraw-none").err(), Some(ChannelError::Gone));
        yubico_keyboards().unwrap();
    }

    #[test]
    fn a_pause_ends_with_patience() {
        let cancel = Cancel::new().unwrap();
        let far = Instant::now().checked_add(Duration::from_mins(1)).unwrap();
        let patience = Patience { deadline: far, cancel: cancel.clone() };
        assert_eq!(sleep(Duration::ZERO, &patience), Ok(()));
        assert_eq!(sleep(Duration::from_millis(1), &patience), Ok(()));
        let over = Patience { deadline: Instant::now(), cancel: cancel.clone() };
        assert_eq!(sleep(Duration::from_mins(1), &over), Err(ChannelError::TimedOut));
        cancel.cancel();
        assert_eq!(sleep(Duration::from_mins(1), &patience), Err(ChannelError::Cancelled));
    }
}
