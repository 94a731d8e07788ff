//! Paths of the objects that come and go.

use super::error::Error;
use super::names::{ACCOUNTS_PATH, TOKENS_PATH};
use crate::service::AccountRef;
use zbus::OwnedObjectPath;

pub(super) fn account_path(id: AccountRef) -> Result<OwnedObjectPath, Error> {
    path(format!("{ACCOUNTS_PATH}/{id}"))
}

pub(super) fn token_path(id: &str) -> Result<OwnedObjectPath, Error> {
    path(format!("{TOKENS_PATH}/{id}"))
}

fn path(path: String) -> Result<OwnedObjectPath, Error> {
    OwnedObjectPath::try_from(path).map_err(|_unwritable| Error::failed("the object has no path"))
}
