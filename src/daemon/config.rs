//! The configuration file. An unknown key is an error: a misspelt restriction must not pass in silence.

use super::Error;
use crate::service::Settings;
use serde::Deserialize;
use std::path::{Path, PathBuf};

const SYSTEM: &str = "/etc/rootseal/rootseald.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    tokens: Tokens,
    aws: Aws,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tokens {
    /// Sockets of virtual tokens.
    hid_sockets: Vec<PathBuf>,
    /// Whether to look for smart cards behind pcscd.
    pcsc: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Aws {
    /// STS endpoints besides AWS's own.
    allowed_endpoints: Vec<String>,
}

impl Config {
    pub(super) fn settings(self) -> Settings {
        Settings {
            hid_sockets: self.tokens.hid_sockets,
            pcsc: self.tokens.pcsc.unwrap_or(true),
            allowed_endpoints: self.aws.allowed_endpoints,
        }
    }
}

/// Reads the file that is named, else the user's, else the system's, else nothing.
pub(super) fn load(named: Option<&Path>) -> Result<Config, Error> {
    if let Some(path) = named {
        return read(path);
    }
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
        .map(|config| config.join("rootseal/rootseald.toml"));
    let found = user.into_iter().chain([PathBuf::from(SYSTEM)]).find(|path| path.exists());
    found.map_or_else(|| Ok(Config::default()), |path| read(&path))
}

fn read(path: &Path) -> Result<Config, Error> {
    let failed = |reason: String| Error::Config { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(failed)
}

fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map(|before| before.matches('\n').count().saturating_add(1));
        match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_where_it_is_wrong() {
        let config = parse(
            "[tokens]\nhid_sockets = [\"/run/a\"]\n[aws]\nallowed_endpoints = [\"http://127.0.0.1:1\"]\n",
        );
        let settings = config.unwrap().settings();
        assert_eq!(settings.hid_sockets, [PathBuf::from("/run/a")]);
        assert_eq!(settings.allowed_endpoints, ["http://127.0.0.1:1"]);
        assert!(parse("").is_ok());
        assert!(parse("[tokens]\nhid_socket = []\n").unwrap_err().starts_with("line 2: unknown field"));
        assert!(parse("[aws\n").unwrap_err().starts_with("line 1"));
    }
}
