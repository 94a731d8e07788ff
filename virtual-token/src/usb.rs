//! The token as a USB device: a composite one with a HID and a smart card interface, that the kernel's vhci-hcd
//! takes for real. What is in the files below:
//!
//! - `vhci`: the device's port in the kernel, and the wire to it.
//! - `urb`: the messages on that wire.
//! - `descriptor`, `control`: what the device says about itself, and its endpoint zero.
//! - `device`: carries data between the wire and the interfaces.
//! - `ccid`, `reader`: the smart card interface: its messages, and the conversation with the card.
//!
//! The HID interface is a [`Wire`](crate::wire::Wire) like any other.

mod ccid;
mod control;
mod descriptor;
mod device;
mod reader;
mod urb;
mod vhci;

pub use self::device::Device;
pub(crate) use self::reader::serve as serve_reader;
