//! The client against tokens that behave, and tokens that do not.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

mod client;
mod fake;
pub(super) mod mock;
