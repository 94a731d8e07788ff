//! Options of `rootseald`.

use crate::dbus::Bus;
use crate::service::Counted;
use std::path::PathBuf;

/// Owns the security tokens and the vault, and serves them over D-Bus.
#[derive(Debug, clap::Parser)]
#[command(name = "rootseald", version)]
pub(super) struct Args {
    /// Configuration in TOML [default: /etc/rootseal/rootseald.toml and the user's rootseal/rootseald.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Serve on the session bus, the system bus, or the bus at a D-Bus address [default: session, without --listen]
    #[arg(long, value_name = "session|system|ADDRESS")]
    pub(super) bus: Option<String>,
    /// Serve on a private socket, without a bus: unix:path=PATH
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<String>,
    /// Where the vault, the machine's memory and the audit log are [default: ~/.local/state/rootseal]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Write "READY=1" to this descriptor and close it as soon as clients are served
    #[arg(long, value_name = "N")]
    pub(super) ready_fd: Option<i32>,
    /// Say more on standard error
    #[arg(long, short)]
    pub(super) verbose: bool,
}

/// Which bus a name or an address means.
pub(super) fn bus(name: &str) -> Bus {
    match name {
        "session" => Bus::Session,
        "system" => Bus::System,
        address => Bus::At(address.to_owned()),
    }
}

/// A daemon on the system bus is nobody's own.
pub(super) fn counted(bus: Option<&str>) -> Counted {
    if bus == Some("system") { Counted::Seated } else { Counted::Own }
}
