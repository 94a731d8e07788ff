//! STS `GetSessionToken` with an MFA code.

use super::{Form, Query, Service};
use crate::aws::{Error, MfaSerial};
use crate::secret::OtpCode;
use std::fmt;

/// Whose long-term key signs, as far as limits depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The account's root user.
    Root,
    /// An IAM user.
    User,
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionDuration(u32);

impl SessionDuration {
    /// A duration in seconds: from 15 minutes, up to one hour for root and 36 hours for a user (STS API
    /// reference, `GetSessionToken`).
    ///
    /// # Errors
    /// [`Error::Duration`], with the limits.
    pub fn new(seconds: u32, principal: Principal) -> Result<Self, Error> {
        let (min, max) = match principal {
            Principal::Root => (900, 3600),
            Principal::User => (900, 129_600),
        };
        if (min..=max).contains(&seconds) { Ok(Self(seconds)) } else { Err(Error::Duration { min, max }) }
    }

    /// In seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// For people: `1 h`, `15 min`, `90 s`.
impl fmt::Display for SessionDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds % 3600 == 0 => write!(f, "{} h", seconds / 3600),
            seconds if seconds % 60 == 0 => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{seconds} s"),
        }
    }
}

/// The parameters of `GetSessionToken`.
pub struct GetSessionToken {
    duration: SessionDuration,
    serial: MfaSerial,
    code: OtpCode,
}

impl GetSessionToken {
    /// A request; `code` is spent with it.
    ///
    /// # Errors
    /// [`Error::MfaCode`], unless the code is six or eight digits.
    pub fn new(duration: SessionDuration, serial: MfaSerial, code: OtpCode) -> Result<Self, Error> {
        let digits = code.with(|code| matches!(code.len(), 6 | 8) && code.iter().all(u8::is_ascii_digit));
        if digits { Ok(Self { duration, serial, code }) } else { Err(Error::MfaCode) }
    }
}

impl Query for GetSessionToken {
    const ACTION: &'static str = "GetSessionToken";
    const VERSION: &'static str = "2011-06-15";
    const SERVICE: Service = Service::Sts;

    fn write(&self, form: &mut Form) {
        form.add("DurationSeconds", self.duration.seconds().to_string().as_bytes());
        form.add("SerialNumber", self.serial.as_str().as_bytes());
        self.code.with(|code| form.add("TokenCode", code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Partition;

    #[test]
    fn root_has_an_hour_and_a_user_has_thirty_six() {
        for seconds in [0, 899, 3601, u32::MAX] {
            let refused = SessionDuration::new(seconds, Principal::Root);
            assert_eq!(refused, Err(Error::Duration { min: 900, max: 3600 }));
        }
        assert_eq!(SessionDuration::new(3600, Principal::Root).unwrap().to_string(), "1 h");
        assert_eq!(SessionDuration::new(900, Principal::Root).unwrap().to_string(), "15 min");
        assert_eq!(SessionDuration::new(901, Principal::Root).unwrap().to_string(), "901 s");
        assert_eq!(SessionDuration::new(129_600, Principal::User).unwrap().to_string(), "36 h");
        assert!(SessionDuration::new(129_601, Principal::User).is_err());
    }

    #[test]
    fn a_code_is_digits() {
        let serial = || MfaSerial::root_default(Partition::Aws, "111122223333".parse().unwrap());
        let duration = SessionDuration::new(900, Principal::Root).unwrap();
        for code in ["", "12345", "1234567", "12345x", "123 56"] {
            let code = OtpCode::copy_from(code.as_bytes());
            assert_eq!(GetSessionToken::new(duration, serial(), code).err(), Some(Error::MfaCode));
        }
    }
}
