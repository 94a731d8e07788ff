//! The memory that secrets live in: one mapping for each secret, wiped and unmapped on drop.
//!
//! This is the one place of the library with `unsafe` code: mapping memory cannot be done without.
#![expect(unsafe_code, reason = "memory maps: each block says why it is sound")]

use rustix::fd::{FromRawFd as _, OwnedFd};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

/// How well the memory of secrets is kept from others, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// `memfd_secret(2)`: not even the kernel's own maps show it.
    SecretMemory,
    /// Locked into memory (no swap) and left out of core dumps.
    Locked,
    /// Left out of core dumps; the limit on locked memory (`RLIMIT_MEMLOCK`) did not allow more.
    Unlocked,
}

static WORST: AtomicU8 = AtomicU8::new(0);

/// The weakest protection that any secret of this process has been given so far.
pub fn protection() -> Protection {
    match WORST.load(Ordering::Relaxed) {
        0 => Protection::SecretMemory,
        1 => Protection::Locked,
        _ => Protection::Unlocked,
    }
}

pub(super) struct Locked {
    start: NonNull<u8>,
    length: usize,
    mapped: usize,
}

// SAFETY: the mapping is owned by this value alone and is plain memory, valid in every thread.
unsafe impl Send for Locked {}
// SAFETY: a shared reference allows reads only.
unsafe impl Sync for Locked {}

impl Locked {
    pub(super) fn zeroed(length: usize) -> Self {
        let mapped = length.max(1).next_multiple_of(rustix::param::page_size());
        let (start, protection) = map(mapped);
        WORST.fetch_max(protection as u8, Ordering::Relaxed);
        Self { start, length, mapped }
    }

    pub(super) fn with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        // SAFETY: `start` is a live mapping of at least `length` initialised (zeroed) bytes, and `&self`
        // keeps writers out for as long as the slice lives.
        read(unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) })
    }

    pub(super) fn with_mut<R>(&mut self, write: impl FnOnce(&mut [u8]) -> R) -> R {
        // SAFETY: as in `with`, and `&mut self` makes this the only reference.
        write(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) })
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.with_mut(zeroize::Zeroize::zeroize);
        // SAFETY: the mapping was made by `map` with this length and nothing refers to it any more.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.mapped) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

fn map(length: usize) -> (NonNull<u8>, Protection) {
    if let Some(start) = map_secret(length) {
        return (start, Protection::SecretMemory);
    }
    // SAFETY: a new anonymous mapping at an address the kernel chooses touches no existing memory.
    let start = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    let Some(start) = start.ok().and_then(|address| NonNull::new(address.cast::<u8>())) else {
        // The process is out of memory, as it is for the allocator: there is nothing to fall back to.
        std::process::abort()
    };
    // SAFETY: both calls concern the pages just mapped and change no contents.
    let locked = unsafe {
        let _undumped = rustix::mm::madvise(start.as_ptr().cast(), length, Advice::LinuxDontDump);
        rustix::mm::mlock(start.as_ptr().cast(), length)
    };
    (start, if locked.is_ok() { Protection::Locked } else { Protection::Unlocked })
}

/// `memfd_secret(2)`, Linux 5.14; needs `secretmem.enable=1` before 6.5. Counts against `RLIMIT_MEMLOCK`.
fn map_secret(length: usize) -> Option<NonNull<u8>> {
    // SAFETY: the call takes flags alone and returns a new descriptor or -1.
    let raw = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
    // SAFETY: the kernel has just handed us this descriptor; nobody else owns it.
    let memory = unsafe { OwnedFd::from_raw_fd(raw) };
    rustix::fs::ftruncate(&memory, length as u64).ok()?;
    // SAFETY: a new mapping at an address the kernel chooses; the descriptor is ours and has this size.
    let start = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            &memory,
            0,
        )
    };
    NonNull::new(start.ok()?.cast::<u8>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_starts_zeroed_and_keeps_what_is_written() {
        let mut memory = Locked::zeroed(70_000);
        memory.with(|bytes| assert!(bytes.iter().all(|byte| *byte == 0) && bytes.len() == 70_000));
        memory.with_mut(|bytes| bytes[69_999] = 7);
        memory.with(|bytes| assert_eq!(bytes[69_999], 7));
    }

    #[test]
    fn an_empty_secret_is_possible() {
        Locked::zeroed(0).with(|bytes| assert!(bytes.is_empty()));
    }
}
