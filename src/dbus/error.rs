//! The service's errors as D-Bus errors: name and one sentence.

use super::names::ERROR_PREFIX;
use crate::service;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

/// An error reply.
#[derive(Debug)]
pub(super) struct Error {
    name: String,
    text: String,
}

impl Error {
    /// The client's own mistake.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        service::Error::Invalid(text.into()).into()
    }

    pub(super) fn not_authorized() -> Self {
        service::Error::NotAuthorized.into()
    }

    pub(super) fn failed(text: &'static str) -> Self {
        service::Error::Failed(text).into()
    }
}

impl From<service::Error> for Error {
    fn from(error: service::Error) -> Self {
        Self { name: format!("{ERROR_PREFIX}{}", error.name()), text: error.to_string() }
    }
}

impl From<zbus::Error> for Error {
    fn from(_: zbus::Error) -> Self {
        Self::failed("the message bus failed")
    }
}

impl zbus::DBusError for Error {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&self.text)
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_str_unchecked(&self.name)
    }

    fn description(&self) -> Option<&str> {
        Some(&self.text)
    }
}
