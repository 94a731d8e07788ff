//! The OATH application of a YubiKey in a reader, or of any token that has it (Yubico's YKOATH protocol).

use super::codes::{Access, CodeToken, Contents, NewSeed};
use super::{Device, TokenError, Touch, Traits};
use crate::channel::{Card, Patience};
use crate::piv::{NewAccount, Oath, OathHash, OathName, Piv, PivError, Version};
use crate::secret::{OtpCode, Pin};

/// Firmware from which on an account can want a touch, and can be hashed by SHA-512 (YKOATH, "PUT").
const TOUCH: Version = Version([4, 2, 0]);
const SHA512: Version = Version([4, 3, 1]);

type Wire = Box<dyn Card>;

/// Keeps nothing between two transactions: neither a password nor what is on the card.
pub(super) struct OathToken {
    connect: Box<dyn Fn() -> Result<Wire, TokenError> + Send>,
    card: Option<Wire>,
}

impl OathToken {
    pub(super) fn new(connect: impl Fn() -> Result<Wire, TokenError> + Send + 'static) -> Self {
        Self { connect: Box::new(connect), card: None }
    }

    fn card(&mut self) -> Result<&mut Wire, TokenError> {
        let card = match self.card.take() {
            Some(card) => card,
            None => (self.connect)()?,
        };
        Ok(self.card.insert(card))
    }

    fn transaction<R>(
        &mut self,
        patience: &Patience,
        run: impl FnOnce(&mut Oath<'_>) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        let card = self.card()?;
        let result = Oath::open(card, patience).map_err(TokenError::from).and_then(|mut oath| run(&mut oath));
        if matches!(result, Err(TokenError::Gone | TokenError::TimedOut | TokenError::Cancelled)) {
            self.card = None;
        }
        result
    }

    /// A transaction with the application that `access` was given for, opened.
    fn opened<R>(
        &mut self,
        access: &Access,
        patience: &Patience,
        run: impl FnOnce(&mut Oath<'_>) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        self.transaction(patience, |oath| {
            if oath.device_id() != access.device {
                return Err(TokenError::Another);
            }
            if let Some(key) = &access.key {
                oath.validate(key)?;
            }
            run(oath)
        })
    }
}

impl Device for OathToken {
    fn traits(&mut self, patience: &Patience) -> Result<Traits, TokenError> {
        let needs_pin = self.transaction(patience, |oath| Ok(oath.is_locked()))?;
        // The OATH application does not tell the serial number; a YubiKey's PIV application does.
        let serial = Piv::open(self.card()?, patience).and_then(|mut piv| piv.serial());
        let serial = match serial {
            Ok(serial) => serial.map(|serial| serial.to_string()),
            Err(PivError::Channel(error)) => return Err(error.into()),
            Err(_no_piv) => None,
        };
        // Each account is another case.
        Ok(Traits { needs_pin, touch: Touch::Unknown, serial })
    }

    fn release(&mut self) {
        self.card = None;
    }
}

impl CodeToken for OathToken {
    fn device_id(&mut self, patience: &Patience) -> Result<Vec<u8>, TokenError> {
        self.transaction(patience, |oath| Ok(oath.device_id().to_vec()))
    }

    fn open(
        &mut self,
        device: &[u8],
        password: Option<&Pin>,
        patience: &Patience,
    ) -> Result<Access, TokenError> {
        self.transaction(patience, |oath| {
            if oath.device_id() != device {
                return Err(TokenError::Another);
            }
            let device = device.to_vec();
            if !oath.is_locked() {
                return Ok(Access { device, key: None });
            }
            let key = oath.access_key(password.ok_or(TokenError::PasswordNeeded)?);
            oath.validate(&key)?;
            Ok(Access { device, key: Some(key) })
        })
    }

    fn contents(&mut self, access: &Access, patience: &Patience) -> Result<Contents, TokenError> {
        self.opened(access, patience, |oath| {
            Ok(Contents { can_touch: oath.version() >= TOUCH, accounts: oath.list()? })
        })
    }

    fn code(
        &mut self,
        access: &Access,
        name: &OathName,
        step: u64,
        patience: &Patience,
    ) -> Result<OtpCode, TokenError> {
        self.opened(access, patience, |oath| {
            // The access key was right a moment ago.
            let untouched = TokenError::TimedOut;
            let code = oath.calculate(name, step);
            code.map_err(|error| if error == PivError::NotVerified { untouched } else { error.into() })
        })
    }

    fn put(&mut self, access: &Access, new: &NewSeed, patience: &Patience) -> Result<(), TokenError> {
        let hash = match new.algorithm.as_str() {
            "SHA1" => OathHash::Sha1,
            "SHA256" => OathHash::Sha256,
            "SHA512" => OathHash::Sha512,
            _ => return Err(PivError::Unsupported("this hash for codes").into()),
        };
        self.opened(access, patience, |oath| {
            if hash == OathHash::Sha512 && oath.version() < SHA512 {
                return Err(PivError::Unsupported("SHA-512 for codes").into());
            }
            let NewSeed { name, seed, digits, touch, .. } = new;
            Ok(oath.put(&NewAccount { name, seed, hash, digits: *digits, touch: *touch })?)
        })
    }

    fn rename(
        &mut self,
        access: &Access,
        from: &OathName,
        to: &OathName,
        patience: &Patience,
    ) -> Result<(), TokenError> {
        self.opened(access, patience, |oath| Ok(oath.rename(from, to)?))
    }

    fn remove(&mut self, access: &Access, name: &OathName, patience: &Patience) -> Result<(), TokenError> {
        self.opened(access, patience, |oath| Ok(oath.delete(name)?))
    }

    fn set_password(
        &mut self,
        access: &Access,
        password: Option<&Pin>,
        patience: &Patience,
    ) -> Result<(), TokenError> {
        self.opened(access, patience, |oath| {
            match password {
                Some(password) => {
                    let key = oath.access_key(password);
                    oath.set_access_key(&key)?;
                }
                None => oath.unset_access_key()?,
            }
            Ok(())
        })
    }
}
