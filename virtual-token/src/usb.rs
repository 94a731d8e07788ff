//! The token as a USB device: a composite one of a keyboard, FIDO's HID and a smart card reader, that the kernel's
//! vhci-hcd takes for real. What is in the files below:
//!
//! - `vhci`: the device's port in the kernel, and the wire to it.
//! - `urb`: the messages on that wire.
//! - `descriptor`, `control`: what the device says about itself, and its endpoint zero.
//! - `device`: carries data between the wire and the interfaces.
//! - `frames`, `keyboard`: the keyboard: its feature reports, and the conversation with the OTP application.
//! - `ccid`, `reader`: the smart card interface: its messages, and the conversation with the card.
//!
//! FIDO's interface is a [`Wire`](crate::wire::Wire) like any other.

mod ccid;
mod control;
mod descriptor;
mod device;
mod frames;
mod keyboard;
mod reader;
mod urb;
mod vhci;

pub use self::device::Device;
pub(crate) use self::{device::Interfaces, keyboard::serve as serve_keyboard, reader::serve as serve_reader};
