//! How a new keyslot's key is to be made, as options say it.

use super::error::Error;
use super::options::Options;
use super::pipe;
use crate::service::{NewRecovery, new_key};
use crate::token::NewKey;
use std::os::fd::AsFd as _;

/// Takes `recovery`, and writes a new recovery code into it: before anything is asked or saved, so that no code opens a
/// vault that nobody could write down.
pub(super) async fn new_recovery(
    options: &mut Options,
    label: Option<String>,
    holder: Option<String>,
) -> Result<Option<NewRecovery>, Error> {
    let Some(out) = options.descriptor("recovery")? else { return Ok(None) };
    let out = pipe::Out::new(out.as_fd().into())?;
    let new = NewRecovery::make(label, holder)?;
    out.recovery_code(new.text()).await?;
    Ok(Some(new))
}

/// Takes `slot`, `generate` and `management_key`, which is read to its end.
pub(super) async fn take(options: &mut Options) -> Result<NewKey, Error> {
    let (slot, generate) = (options.text("slot")?, options.text("generate")?);
    let management_key = match options.descriptor("management_key")? {
        Some(descriptor) => Some(pipe::read(descriptor).await?),
        None => None,
    };
    Ok(new_key(slot, generate, management_key.as_ref().map(|key| key.as_slice()))?)
}
