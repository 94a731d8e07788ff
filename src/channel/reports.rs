//! The seam to a HID device whose feature reports are fetched and set, as a keyboard's are: nothing comes by itself.

use super::{ChannelError, Patience};

/// Bytes of a feature report, without the report number.
pub const FEATURE_REPORT: usize = 8;

/// One device's feature reports. A value of this type is owned by one thread.
pub trait FeatureReports: Send {
    /// Fetches the report as it is now.
    ///
    /// # Errors
    /// [`ChannelError::Gone`], [`ChannelError::Io`].
    fn get(&mut self) -> Result<[u8; FEATURE_REPORT], ChannelError>;

    /// Sets the report.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn set(&mut self, report: [u8; FEATURE_REPORT]) -> Result<(), ChannelError>;

    /// Waits for a moment: there is nothing that would tell when to look again.
    ///
    /// # Errors
    /// [`ChannelError::TimedOut`], [`ChannelError::Cancelled`].
    fn pause(&mut self, patience: &Patience) -> Result<(), ChannelError>;
}

impl<R: FeatureReports + ?Sized> FeatureReports for Box<R> {
    fn get(&mut self) -> Result<[u8; FEATURE_REPORT], ChannelError> {
        (**self).get()
    }

    fn set(&mut self, report: [u8; FEATURE_REPORT]) -> Result<(), ChannelError> {
        (**self).set(report)
    }

    fn pause(&mut self, patience: &Patience) -> Result<(), ChannelError> {
        (**self).pause(patience)
    }
}
