//! Which daemon is meant.

use crate::cli::error::Error;
use std::fmt;
use std::path::Path;

const CLIENT_FILE: &str = "/etc/rootseal/client.toml";
const SYSTEM_SERVICES: [&str; 2] = [
    "/usr/share/dbus-1/system-services/org.rootseal.Daemon.service",
    "/etc/dbus-1/system-services/org.rootseal.Daemon.service",
];

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// The session bus.
    Session,
    /// The system bus.
    System,
    /// A bus at this D-Bus address.
    Bus(String),
    /// A daemon's own socket, without a bus.
    Peer(String),
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "session" => return Ok(Self::Session),
            "system" => return Ok(Self::System),
            _ => {}
        }
        let (address, made): (&str, fn(String) -> Self) = match text.strip_prefix("bus:") {
            Some(bus) => (bus, Self::Bus),
            None => (text, Self::Peer),
        };
        if zbus::Address::try_from(address).is_err() {
            return Err(Error::Usage(format!(
                "{text} is not an address: write session, system, unix:path=SOCKET or bus:ADDRESS"
            )));
        }
        Ok(made(address.to_owned()))
    }
}

impl Address {
    /// For a sentence.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Session => "on the session bus".to_owned(),
            Self::System => "on the system bus".to_owned(),
            Self::Bus(address) => format!("on the bus at {address}"),
            Self::Peer(address) => format!("at {address}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => formatter.write_str("session"),
            Self::System => formatter.write_str("system"),
            Self::Bus(address) => write!(formatter, "bus:{address}"),
            Self::Peer(address) => formatter.write_str(address),
        }
    }
}

/// The address in use.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) address: Address,
    /// Named by option or variable.
    named: bool,
}

impl Choice {
    /// Whether somebody who names none gets the same.
    pub(super) fn is_default(&self) -> bool {
        !self.named || default_address().is_ok_and(|default| default == self.address)
    }
}

/// `--address`, else `ROOTSEAL_ADDRESS`, else the default.
pub(super) fn choose(option: Option<&str>, variable: Option<&str>) -> Result<Choice, Error> {
    let Some(text) = option.or_else(|| variable.filter(|text| !text.is_empty())) else {
        return Ok(Choice { address: default_address()?, named: false });
    };
    // A default that cannot be told must not stop a command that names its address: it is not looked at.
    Ok(Choice { address: Address::parse(text)?, named: true })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientFile {
    address: Option<String>,
}

fn default_address() -> Result<Address, Error> {
    let file = match std::fs::read_to_string(CLIENT_FILE) {
        Ok(text) => client_file(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::Read { path: CLIENT_FILE.into(), source }),
    };
    Ok(file.unwrap_or_else(|| {
        // Decided by what is installed, never by what answers: a daemon that is down must not
        // make the command line talk to another one.
        let installed = SYSTEM_SERVICES.iter().any(|path| Path::new(path).exists());
        if installed { Address::System } else { Address::Session }
    }))
}

fn client_file(text: &str) -> Result<Option<Address>, Error> {
    let file: ClientFile = toml::from_str(text).map_err(|error| {
        Error::Usage(format!("{CLIENT_FILE} is not a valid configuration ({}): correct it", error.message()))
    })?;
    file.address.as_deref().map(Address::parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_and_written_back() {
        for (text, address) in [
            ("session", Address::Session),
            ("system", Address::System),
            ("unix:path=/run/x", Address::Peer("unix:path=/run/x".to_owned())),
            ("bus:unix:path=/run/x", Address::Bus("unix:path=/run/x".to_owned())),
        ] {
            assert_eq!(Address::parse(text).unwrap(), address);
            assert_eq!(address.to_string(), text);
        }
        for nonsense in ["", "sesion", "/run/x", "bus:", "bus:session"] {
            assert_eq!(Address::parse(nonsense).unwrap_err().code(), 2, "{nonsense}");
        }
    }

    #[test]
    fn an_option_goes_before_the_variable() {
        let choice = choose(Some("unix:path=/a"), Some("unix:path=/b")).unwrap();
        assert_eq!(choice.address, Address::Peer("unix:path=/a".to_owned()));
        assert!(!choice.is_default());
        let choice = choose(None, Some("unix:path=/b")).unwrap();
        assert_eq!(choice.address, Address::Peer("unix:path=/b".to_owned()));
    }

    #[test]
    fn a_misspelt_client_file_is_no_default() {
        assert_eq!(client_file("address = \"system\"").unwrap(), Some(Address::System));
        assert_eq!(client_file("").unwrap(), None);
        assert!(client_file("adress = \"system\"").is_err());
        assert!(client_file("address = \"nowhere\"").is_err());
    }
}
