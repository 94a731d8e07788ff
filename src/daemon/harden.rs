//! What the process gives up before it touches a secret.

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use std::io;

/// No core dumps, no ptrace by the same user, no new privileges, files for the owner alone.
pub(super) fn process() -> io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}
