//! Telling whoever started the daemon that it serves: a descriptor, and systemd.

use rustix::fd::{FromRawFd as _, OwnedFd};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, sendto, socket};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

const READY: &[u8] = b"READY=1\n";

/// Says it, wherever somebody listens for it.
pub(super) fn tell(ready_fd: Option<i32>) -> io::Result<()> {
    if let Some(number) = ready_fd {
        rustix::io::write(inherited(number)?, READY)?;
    }
    // sd_notify(3)
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET") {
        let address = match path.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
            name => SocketAddrUnix::new(name)?,
        };
        let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
        sendto(socket, READY, SendFlags::empty(), &address)?;
    }
    Ok(())
}

/// The descriptor that `--ready-fd` names; closed after use.
fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 3 || !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    take(number)
}

#[expect(unsafe_code, reason = "a descriptor that is known by its number alone")]
fn take(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: it is open (checked above), whoever started us gave it to us by `--ready-fd`, and nothing
    // else in this process knows its number.
    let inherited = unsafe { OwnedFd::from_raw_fd(number) };
    // A second owner would close it twice; a pipe or a file is what it must be.
    rustix::fs::fstat(&inherited)?;
    Ok(inherited)
}
