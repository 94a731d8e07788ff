//! The kernel's virtual host controller (vhci-hcd): a port for a device, and the wire to it. The kernel takes one
//! end of a socket pair by its number; that closing the other one is the unplug, whatever ends this process.

use std::{
    fs,
    io::{self, ErrorKind},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::Path,
};

const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";

/// What the kernel calls the ports for all devices but the fastest (`SuperSpeed`).
const HIGH_SPEED_HUB: &str = "hs";
/// `VDEV_ST_NULL` of the kernel's `usbip_common.h`: nothing is plugged in.
const FREE: &str = "004";
/// `USB_SPEED_FULL` of the kernel's `linux/usb/ch9.h`.
const FULL_SPEED: u8 = 2;
/// A number that the kernel only repeats: bus 1, device 2.
const DEVICE_ID: u32 = 0x0001_0002;

/// Plugs a device into a free port; returns the device's end of the wire.
///
/// # Errors
/// When the kernel has no such controller, keeps it from us, or has no free port.
pub(super) fn attach() -> io::Result<UnixStream> {
    attach_to(Path::new(CONTROLLER))
}

fn attach_to(controller: &Path) -> io::Result<UnixStream> {
    let status = controller.join("status");
    let ports = fs::read_to_string(&status).map_err(|error| explained(&error, "read", &status))?;
    let (ours, theirs) = UnixStream::pair()?;
    let attach = controller.join("attach");
    for port in free_ports(&ports) {
        let order = format!("{port} {} {DEVICE_ID} {FULL_SPEED}", theirs.as_raw_fd());
        match fs::OpenOptions::new().write(true).open(&attach).and_then(|file| write_whole(file, &order)) {
            Ok(()) => return Ok(ours),
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
            Err(error) => return Err(explained(&error, "write to", &attach)),
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "vhci-hcd has no free port"))
}

/// In one go: each write is an order.
fn write_whole(mut file: fs::File, order: &str) -> io::Result<()> {
    io::Write::write_all(&mut file, order.as_bytes())
}

/// The free ports, from the table in `status`: hub, port, state and more, after a line of titles.
fn free_ports(table: &str) -> impl Iterator<Item = u32> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (hub, port, state) = (words.next()?, words.next()?, words.next()?);
        (hub == HIGH_SPEED_HUB && state == FREE).then(|| port.parse().ok())?
    })
}

fn explained(error: &io::Error, what: &str, path: &Path) -> io::Error {
    let hints = [
        (ErrorKind::NotFound, " (is the vhci-hcd module loaded?)"),
        (ErrorKind::PermissionDenied, " (that takes root)"),
    ];
    let hint = hints.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, hint)| *hint);
    io::Error::new(error.kind(), format!("cannot {what} {}{hint}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "hub port sta spd dev      sockfd local_busid\n\
        hs  0000 006 002 00010002 000003 1-1\n\
        hs  0001 004 000 00000000 000000 0-0\n\
        hs  0010 004 000 00000000 000000 0-0\n\
        ss  0008 004 000 00000000 000000 0-0\n";

    #[test]
    fn only_free_ports_of_the_right_speed_are_taken() {
        assert_eq!(free_ports(TABLE).collect::<Vec<_>>(), [1, 10]);
        assert_eq!(free_ports("").count(), 0);
        assert_eq!(free_ports("hs\nhs 1\nhs x 004\n\0").count(), 0);
    }

    #[test]
    fn the_kernel_is_told_port_socket_device_and_speed() {
        let controller = tempfile::tempdir().unwrap();
        fs::write(controller.path().join("status"), TABLE).unwrap();
        fs::write(controller.path().join("attach"), "").unwrap();
        let _wire = attach_to(controller.path()).unwrap();
        let order = fs::read_to_string(controller.path().join("attach")).unwrap();
        let words: Vec<_> = order.split(' ').collect();
        assert_eq!([words[0], words[2], words[3]], ["1", "65538", "2"]);
        assert!(words[1].parse::<u32>().is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let controller = tempfile::tempdir().unwrap();
        let error = attach_to(controller.path()).unwrap_err().to_string();
        assert!(error.contains("vhci-hcd"), "{error}");
        fs::write(controller.path().join("status"), "hub port sta\n").unwrap();
        let error = attach_to(controller.path()).unwrap_err().to_string();
        assert_eq!(error, "vhci-hcd has no free port");
    }
}
