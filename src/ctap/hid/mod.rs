//! CTAPHID (CTAP 2.1 section 11.2): commands and replies cut into reports of 64 bytes.

mod link;
mod packet;
#[cfg(test)]
mod tests;

pub(super) use link::Link;
pub use packet::{Event, MAX_MESSAGE, Message, REPORT, Reassembler, encode};
