//! `vault backup`, `vault restore`: the sealed file, which is no secret.

use super::Session;
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::proxy::RestoreOptions;
use rustix::fd::{AsFd as _, OwnedFd};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

pub(super) async fn backup(session: &Session, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = async {
        let copy: OwnedFd = session.daemon.vault().await?.backup().await?.into();
        std::io::copy(&mut File::from(copy), &mut file).and_then(|_length| file.sync_all()).map_err(failed)
    };
    if let Err(error) = written.await {
        // Half a copy would be taken for one.
        let _nothing_more_to_do = std::fs::remove_file(path);
        return Err(error);
    }
    output::confirm("Copied. It opens with the tokens that open the vault now, whatever becomes of that.");
    Ok(())
}

/// A copy, in memory: the daemon takes no file that it would have to wait for.
pub(super) fn read(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
    let seconds = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    output::confirm(&format!("The copy was written {}.", output::time(seconds)));
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("rootseal", flags).map_err(Error::system("a memory file"))?;
    let mut memory = File::from(memory);
    std::io::copy(&mut file, &mut memory).map_err(failed)?;
    memory.flush().and_then(|()| memory.rewind()).map_err(failed)?;
    Ok(memory)
}

pub(super) async fn restore(session: &mut Session, path: &Path, older: bool) -> Result<(), Error> {
    let memory = read(path)?;
    session.may_ask_all().await?;
    let options = RestoreOptions {
        token: session.options.named(),
        reason: session.options.reason.clone(),
        older: Some(older),
    };
    session.daemon.vault().await?.restore(options, memory.as_fd().into()).await?;
    output::confirm("Restored, with new keys. It is locked.");
    Ok(())
}
