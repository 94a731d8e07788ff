//! The messages of USB/IP, as far as a host controller and its device exchange them: `USBIP_CMD_SUBMIT`,
//! `USBIP_CMD_UNLINK` and their answers (`Documentation/usb/usbip_protocol.rst` of Linux). No I/O.

/// What every message begins with, whatever it is.
pub(super) const HEADER_SIZE: usize = 48;

/// More than any driver sends at once to a device like ours.
const MAX_TRANSFER: usize = 1 << 20;

const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const SUBMITTED: u32 = 3;
const UNLINKED: u32 = 4;

const OUT: u32 = 0;
const IN: u32 = 1;

/// `ECONNRESET`: what the kernel expects for a transfer that was taken back.
const TAKEN_BACK: i32 = -104;
/// `EPIPE`: what the kernel takes for a STALL.
const STALLED: i32 = -32;

/// The eight bytes that begin a control transfer (USB 2.0, section 9.3).
pub(super) type Setup = [u8; 8];

/// What the host controller says. Its data, if any, follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A transfer to carry out.
    Submit {
        /// Names the transfer.
        sequence: u32,
        /// Without the bit for its direction.
        endpoint: u8,
        /// Which way, and how much.
        transfer: Transfer,
        /// For endpoint zero.
        setup: Setup,
    },
    /// A transfer that nobody wants any more.
    Unlink {
        /// Names this message.
        sequence: u32,
        /// The transfer.
        victim: u32,
    },
}

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// To the device, as many bytes as follow the header.
    Out(usize),
    /// To the host, at most as many bytes.
    In(usize),
}

/// A message that no host controller sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host controller's message makes no sense")]
pub(super) struct Nonsense;

impl Command {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Nonsense`].
    pub(super) fn parse(header: &[u8; HEADER_SIZE]) -> Result<Self, Nonsense> {
        // Command, sequence, device, direction, endpoint; then flags, length and three more, or the victim.
        let number = |index: usize| {
            let bytes = header.chunks_exact(4).nth(index).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_be_bytes).ok_or(Nonsense)
        };
        let sequence = number(1)?;
        match number(0)? {
            SUBMIT => {
                let length = usize::try_from(number(6)?).ok().filter(|length| *length <= MAX_TRANSFER);
                let length = length.ok_or(Nonsense)?;
                Ok(Self::Submit {
                    sequence,
                    endpoint: u8::try_from(number(4)?).map_err(|_large| Nonsense)?,
                    transfer: match number(3)? {
                        OUT => Transfer::Out(length),
                        IN => Transfer::In(length),
                        _ => return Err(Nonsense),
                    },
                    setup: *header.last_chunk().ok_or(Nonsense)?,
                })
            }
            UNLINK => Ok(Self::Unlink { sequence, victim: number(5)? }),
            _ => Err(Nonsense),
        }
    }

    /// How many bytes of data follow.
    pub(super) fn data_size(&self) -> usize {
        match self {
            Self::Submit { transfer: Transfer::Out(length), .. } => *length,
            Self::Submit { transfer: Transfer::In(_), .. } | Self::Unlink { .. } => 0,
        }
    }
}

/// A transfer to the host is done. The device must not give more than was asked for.
pub(super) fn given(sequence: u32, data: &[u8]) -> Vec<u8> {
    [&message(SUBMITTED, sequence, 0, data.len())[..], data].concat()
}

/// A transfer to the device is done.
pub(super) fn taken(sequence: u32, length: usize) -> Vec<u8> {
    message(SUBMITTED, sequence, 0, length).to_vec()
}

/// A transfer was refused.
pub(super) fn stalled(sequence: u32) -> Vec<u8> {
    message(SUBMITTED, sequence, STALLED, 0).to_vec()
}

/// A transfer was given up, or (`false`) was done already.
pub(super) fn unlinked(sequence: u32, in_time: bool) -> Vec<u8> {
    message(UNLINKED, sequence, if in_time { TAKEN_BACK } else { 0 }, 0).to_vec()
}

fn message(kind: u32, sequence: u32, status: i32, length: usize) -> [u8; HEADER_SIZE] {
    let mut message = [0; HEADER_SIZE];
    let fields = [
        kind.to_be_bytes(),
        sequence.to_be_bytes(),
        // Device, direction and endpoint are zero in an answer.
        [0; 4],
        [0; 4],
        [0; 4],
        status.to_be_bytes(),
        u32::try_from(length).unwrap_or_default().to_be_bytes(),
    ];
    for (place, byte) in message.iter_mut().zip(fields.concat()) {
        *place = byte;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of these numbers, zero behind them.
    fn header(numbers: &[u32]) -> [u8; HEADER_SIZE] {
        let mut header = [0; HEADER_SIZE];
        for (place, number) in header.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        header
    }

    #[test]
    fn the_host_controllers_messages_are_read() {
        let mut setup = header(&[SUBMIT, 7, 0x1_0002, IN, 0, 0x200, 18]);
        setup[40..].copy_from_slice(&[0x80, 6, 0, 1, 0, 0, 18, 0]);
        let submit =
            |sequence, endpoint, transfer, setup| Command::Submit { sequence, endpoint, transfer, setup };
        let asked = Command::parse(&setup).unwrap();
        assert_eq!(asked, submit(7, 0, Transfer::In(18), [0x80, 6, 0, 1, 0, 0, 18, 0]));
        assert_eq!(asked.data_size(), 0);

        let out = Command::parse(&header(&[SUBMIT, 8, 0x1_0002, OUT, 4, 0, 64])).unwrap();
        assert_eq!(out, submit(8, 4, Transfer::Out(64), [0; 8]));
        assert_eq!(out.data_size(), 64);

        let unlink = Command::parse(&header(&[UNLINK, 9, 0x1_0002, 0, 0, 8])).unwrap();
        assert_eq!(unlink, Command::Unlink { sequence: 9, victim: 8 });
        assert_eq!(unlink.data_size(), 0);
    }

    #[test]
    fn nonsense_is_refused() {
        for numbers in [
            &[0, 1, 1, OUT, 0][..],
            &[SUBMITTED, 1, 1, OUT, 0],
            &[SUBMIT, 1, 1, 2, 0],
            &[SUBMIT, 1, 1, IN, 256],
            &[SUBMIT, 1, 1, OUT, 4, 0, u32::MAX],
            &[SUBMIT, 1, 1, OUT, 4, 0, 0x10_0001],
        ] {
            assert_eq!(Command::parse(&header(numbers)), Err(Nonsense), "{numbers:?}");
        }
    }

    #[test]
    fn answers_are_laid_out_as_the_kernel_reads_them() {
        let data = given(5, &[1, 2, 3]);
        assert_eq!(data[..HEADER_SIZE], header(&[3, 5, 0, 0, 0, 0, 3]));
        assert_eq!(data[HEADER_SIZE..], [1, 2, 3]);
        assert_eq!(taken(6, 64), header(&[3, 6, 0, 0, 0, 0, 64]));
        assert_eq!(stalled(7), header(&[3, 7, 0, 0, 0, (-32_i32).cast_unsigned()]));
        assert_eq!(unlinked(8, true), header(&[4, 8, 0, 0, 0, (-104_i32).cast_unsigned()]));
        assert_eq!(unlinked(9, false), header(&[4, 9]));
    }
}
