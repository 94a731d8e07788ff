//! The keyslots of a vault that is there, and how many of their holders it takes.

pub(super) mod add;
mod change;
mod check;

pub use add::NewKeyslot;
pub use change::SlotChange;
pub use check::Checked;
