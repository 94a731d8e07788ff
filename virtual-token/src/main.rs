//! The virtual token's command line.

use std::{
    error::Error,
    fs::File,
    io::{self, Write as _},
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser};
use rootseal_virtual_token::{
    card::Identity,
    control::{Control, ControlSocket},
    first_pin,
    state::StateFile,
    station::{Move, Port, station},
    token::{Token, complain},
    touch::Mode,
};
use tokio::signal::unix::{SignalKind, signal};

/// A security token in software, for tests and demonstrations. Never use it for real secrets.
#[derive(Parser)]
#[command(name = "rootseal-virtual-token", version)]
struct Options {
    #[command(flatten)]
    port: PortOptions,
    /// Where credentials, PIN and counters are kept; made when there is none.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The PIN for a token that has none yet.
    #[arg(long)]
    pin: Option<String>,
    /// How touches come about: auto, never, demand, after:MILLISECONDS.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    touch: Mode,
    /// Listen for control commands on this socket.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Write READY=1 to this inherited file descriptor when serving.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    ready_fd: Option<RawFd>,
    /// The serial number that the token shows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    serial: u32,
    /// The name that the token shows, instead of one that says what it is.
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct PortOptions {
    /// Be a `SOCK_SEQPACKET` socket with one report for each datagram.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Be a HID device, by /dev/uhid.
    #[arg(long)]
    uhid: bool,
    /// Be a USB device with a keyboard, HID and a smart card, by the kernel's vhci-hcd.
    #[arg(long)]
    usb: bool,
    /// Be a smart card in vpcd, the virtual reader that listens there.
    #[arg(long, value_name = "HOST:PORT")]
    vpcd: Option<String>,
}

impl PortOptions {
    /// On USB, what Yubico's tools look for.
    fn default_label(&self) -> &'static str {
        if self.usb { "YubiKey OTP+FIDO+CCID" } else { "rootseal virtual token" }
    }

    fn port(self, label: &str, serial: u32) -> Port {
        match (self.socket, self.vpcd) {
            (Some(path), _) => Port::Socket(path),
            (None, Some(address)) => Port::Vpcd(address),
            (None, None) if self.usb => Port::Usb { label: label.to_owned(), serial },
            (None, None) => Port::Uhid { label: label.to_owned(), serial },
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    match start(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(options: Options) -> Result<(), Box<dyn Error>> {
    // Before this process opens anything, so that the number cannot be one of its own.
    let ready = options.ready_fd.map(inherited).transpose()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(options, ready))
}

async fn run(options: Options, ready: Option<File>) -> Result<(), Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let Options { port, state, pin, touch, control, ready_fd: _, serial, label } = options;
    let label = label.unwrap_or_else(|| port.default_label().to_owned());
    let port = port.port(&label, serial);
    let identity = Identity { serial, version: Identity::VERSION, with_fido: port.has_hid() };
    let token = Token::start(StateFile::new(state), touch, identity)?;
    if let Some(pin) = pin {
        if port.has_hid() {
            first_pin::set(&token, &pin).await?;
        }
        if port.has_card() {
            first_pin::set_on_card(&token, &pin).await?;
        }
    }

    let (station, hand) = station();
    let served = tokio::spawn(station.run(token.clone(), port));
    let control_socket = control.as_deref().map(ControlSocket::bind).transpose()?;
    hand.make(Move::Plug).await?;
    if let Some(mut ready) = ready {
        ready.write_all(b"READY=1\n")?;
    }

    let control = Control { token: token.clone(), hand: hand.clone(), label, serial };
    let controlled = async {
        match &control_socket {
            Some(socket) => socket.run(control).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = controlled => {}
        () = token.failed() => return Err("the authenticator has failed".into()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    hand.make(Move::Quit).await?;
    Ok(served.await?)
}

/// Takes over a descriptor that whoever started us left open.
fn inherited(fd: RawFd) -> io::Result<File> {
    if !Path::new("/proc/self/fd").join(fd.to_string()).exists() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("file descriptor {fd} is not open")));
    }
    #[expect(unsafe_code, reason = "an inherited descriptor is a bare number, and only closing it tells EOF")]
    // SAFETY: it is open, and nothing in this process has opened or learnt of it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(File::from(fd))
}
