//! How a new keyslot's key is to be made, as options say it.

use super::error::Error;
use super::options::Options;
use super::pipe;
use crate::service::new_key;
use crate::token::NewKey;

/// Takes `slot`, `generate` and `management_key`, which is read to its end.
pub(super) async fn take(options: &mut Options) -> Result<NewKey, Error> {
    let (slot, generate) = (options.text("slot")?, options.text("generate")?);
    let management_key = match options.descriptor("management_key")? {
        Some(descriptor) => Some(pipe::read(descriptor).await?),
        None => None,
    };
    Ok(new_key(slot, generate, management_key.as_ref().map(|key| key.as_slice()))?)
}
