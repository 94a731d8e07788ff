//! Options `a{sv}`: each is taken out by name and type; what is left over is a mistake.

use super::error::Error;
use crate::service::caller::Caller;
use std::collections::HashMap;
use zbus::OwnedVariant;

/// Options on their way in.
pub(super) struct Options(HashMap<String, OwnedVariant>);

impl Options {
    pub(super) fn new(given: HashMap<String, OwnedVariant>) -> Self {
        Self(given)
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        self.take(name, "a string")
    }

    /// What every request can say of itself: which token is to be used, and why it is made.
    pub(super) fn asking(&mut self, caller: Caller) -> Result<(Caller, Option<String>), Error> {
        let token = self.text("token")?;
        Ok((caller.because(self.text("reason")?)?, token))
    }

    /// A yes or no, where it is given.
    pub(super) fn choice(&mut self, name: &str) -> Result<Option<bool>, Error> {
        self.take(name, "a boolean")
    }

    /// Several texts, where they are given.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, Error> {
        self.take(name, "an array of strings")
    }

    /// Several numbers, where they are given.
    pub(super) fn numbers(&mut self, name: &str) -> Result<Option<Vec<u32>>, Error> {
        self.take(name, "an array of unsigned 32-bit numbers")
    }

    /// Several texts; none where it is not given.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Error> {
        Ok(self.list(name)?.unwrap_or_default())
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>, Error> {
        self.take(name, "an unsigned 32-bit number")
    }

    /// A time, in seconds since 1970.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<u64>, Error> {
        self.take(name, "an unsigned 64-bit number")
    }

    /// A yes or no; no where it is not given.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Error> {
        self.flag_or(name, false)
    }

    /// A yes or no.
    pub(super) fn flag_or(&mut self, name: &str, otherwise: bool) -> Result<bool, Error> {
        Ok(self.choice(name)?.unwrap_or(otherwise))
    }

    /// A descriptor, for what is secret.
    pub(super) fn descriptor(&mut self, name: &str) -> Result<Option<std::os::fd::OwnedFd>, Error> {
        match self.0.remove(name).map(zbus::Variant::from) {
            None => Ok(None),
            Some(zbus::Variant::Fd(descriptor)) => {
                let descriptor = descriptor.try_into();
                descriptor.map(Some).map_err(|_none_left| Error::failed("no descriptor is left"))
            }
            Some(_another_type) => Err(Error::invalid(format!("the option {name} must be a descriptor"))),
        }
    }

    fn take<T: TryFrom<OwnedVariant>>(&mut self, name: &str, kind: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        match T::try_from(value) {
            Ok(value) => Ok(Some(value)),
            Err(_another_type) => Err(Error::invalid(format!("the option {name} must be {kind}"))),
        }
    }

    /// Refuses what nobody took: a misspelt option must not pass in silence.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.0.into_keys().min() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
                Err(Error::invalid(format!("there is no option {name} here")))
            }
        }
    }
}

/// Values for a reply.
pub(super) type Dict = HashMap<&'static str, OwnedVariant>;

/// One entry of a reply.
pub(super) fn entry<'v, V: Into<zbus::Variant<'v>>>(
    name: &'static str,
    value: V,
) -> Result<(&'static str, OwnedVariant), Error> {
    match OwnedVariant::try_from(value.into()) {
        Ok(value) => Ok((name, value)),
        Err(_descriptor) => Err(Error::failed("the reply cannot be written")),
    }
}
