//! The command line.

use std::alloc::System;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Sessions and signed requests pass through buffers of crates that do not wipe them: freed memory is wiped instead.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    rootseal::cli::main()
}
