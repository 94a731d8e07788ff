//! The stack keeps what functions leave behind: crates for cryptography pass keys by value, and each move
//! leaves a copy in a frame that nobody wipes. One scrape would find it long after.

use std::hint::black_box;
use zeroize::Zeroize as _;

/// Deeper than any of our cryptography goes (ML-KEM, unoptimised, is the deepest), and half of the smallest stack
/// that one of our threads has.
const DEPTH: usize = 128 * 1024;

/// Runs `work`, then overwrites the stack below. What `work` returns must hold secrets by the types of this room,
/// whose bytes are elsewhere.
pub fn forgetting<R>(work: impl FnOnce() -> R) -> R {
    let result = deeper(work);
    overwrite();
    result
}

/// A frame of its own, so that what `work` used lies where [`overwrite`] writes.
#[inline(never)]
fn deeper<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "the stack is what is to be overwritten")]
fn overwrite() {
    let mut depth = [0_u64; DEPTH / size_of::<u64>()];
    depth.zeroize();
    black_box(&mut depth);
}
