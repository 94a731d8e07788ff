//! The daemon.

/// Wipes what is freed: signing and bus crates leave copies behind.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    rootseal::daemon::main()
}
