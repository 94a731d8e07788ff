//! The configuration file. An unknown key is an error: a misspelt restriction must not pass in silence.

use super::Error;
use crate::service::{self, Counted, Hours, LockAfter, LockWhen, Roots, Settings};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SYSTEM: &str = "/etc/rootseal/rootseald.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    tokens: Tokens,
    aws: Aws,
    lock: Lock,
    policy: Policy,
    audit: Audit,
    custody: Custody,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Lock {
    /// Seconds without a use after which the vault locks; 0: it does not.
    idle_seconds: Option<u64>,
    /// Seconds after which it locks however much it is used; 0: it does not.
    longest_seconds: Option<u64>,
    /// Whether it locks when the machine sleeps or stops.
    when_machine_sleeps: Option<bool>,
    /// Whether it locks when a session's screen does.
    when_session_locks: Option<bool>,
    /// Whether it locks when another user comes to the front, or the last session is over.
    when_user_switches: Option<bool>,
    /// Whether it locks when a token that opened it is pulled out.
    when_token_is_removed: Option<bool>,
    /// Seconds for which such a token may be away, as it is when it is reset.
    removal_grace_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Policy {
    /// Whether whoever uses what is guarded must say why.
    demand_reason: bool,
    /// When sessions and codes may be had: `Mon-Fri 08:00-18:00`, in UTC; always where there is none.
    #[serde(deserialize_with = "hours")]
    hours_utc: Vec<Hours>,
    /// How long a session may last.
    #[serde(deserialize_with = "session")]
    longest_session_seconds: Option<u32>,
    /// Who may open the index; anybody where it is not said.
    #[serde(deserialize_with = "uids")]
    unlock_uids: Vec<u32>,
    /// Who may get sessions and codes.
    #[serde(deserialize_with = "uids")]
    use_uids: Vec<u32>,
    /// Who may change the vault.
    #[serde(deserialize_with = "uids")]
    manage_uids: Vec<u32>,
}

impl Policy {
    fn rules(self) -> service::Policy {
        service::Policy {
            demand_reason: self.demand_reason,
            hours: self.hours_utc,
            longest_session: self.longest_session_seconds,
            unlock_uids: self.unlock_uids,
            use_uids: self.use_uids,
            manage_uids: self.manage_uids,
        }
    }
}

fn hours<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hours>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    if texts.is_empty() {
        return Err(D::Error::custom("name at least one time, or leave it out: it would mean always"));
    }
    let hours = texts.iter().map(|text| text.parse().map_err(|_syntax| text));
    hours
        .collect::<Result<_, _>>()
        .map_err(|text| D::Error::custom(format!("{text:?} is not written like \"Mon-Fri 08:00-18:00\"")))
}

/// In order. An empty list would read like "nobody" and mean "anybody".
fn uids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    let mut uids = Vec::<u32>::deserialize(from)?;
    uids.sort_unstable();
    uids.dedup();
    let policy = service::Policy { use_uids: uids.clone(), ..service::Policy::default() };
    if uids.is_empty() || policy.validate().is_err() {
        return Err(D::Error::custom("name 1 to 256 user ids, or leave it out to let anybody"));
    }
    Ok(uids)
}

fn session<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let longest = u32::deserialize(from)?;
    let policy = service::Policy { longest_session: Some(longest), ..service::Policy::default() };
    policy.validate().map_err(|_rule| D::Error::custom("a session may last 900 to 129600 seconds"))?;
    Ok(Some(longest))
}

impl Lock {
    fn after(&self) -> LockAfter {
        let choose = |given: Option<u64>, default| match given {
            None => default,
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds)),
        };
        let LockAfter { idle, longest } = LockAfter::default();
        LockAfter { idle: choose(self.idle_seconds, idle), longest: choose(self.longest_seconds, longest) }
    }

    fn when(&self, counted: Counted) -> LockWhen {
        let default = LockWhen::default();
        let grace = self.removal_grace_seconds.map(Duration::from_secs).or(default.token_is_removed);
        LockWhen {
            machine_sleeps: self.when_machine_sleeps.unwrap_or(default.machine_sleeps),
            session_locks: self.when_session_locks.unwrap_or(default.session_locks),
            user_switches: self.when_user_switches.unwrap_or(default.user_switches),
            token_is_removed: grace.filter(|_| self.when_token_is_removed.unwrap_or(true)),
            counted,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tokens {
    /// Sockets of virtual tokens.
    hid_sockets: Vec<PathBuf>,
    /// Whether to look for smart cards behind pcscd.
    pcsc: Option<bool>,
    /// Files, PEM, with certificates of those who vouch for tokens.
    attestation_roots: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Aws {
    /// STS endpoints besides AWS's own.
    allowed_endpoints: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Audit {
    /// From this length on, the log goes on in a new file.
    rotate_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Custody {
    /// Days after which the next drill is due; 0: never.
    drill_days: Option<u32>,
}

/// Four times a year.
const DRILL_DAYS: u32 = 90;

impl Custody {
    fn drill_every(&self) -> Option<Duration> {
        let days = self.drill_days.unwrap_or(DRILL_DAYS);
        (days > 0).then(|| Duration::from_hours(24).saturating_mul(days))
    }
}

const ROTATE: u64 = 8 << 20;
/// Less would make a file of every few records.
const LEAST_ROTATE: u64 = 4096;

impl Config {
    pub(super) fn rotate_bytes(&self) -> Result<u64, Error> {
        let bytes = self.audit.rotate_bytes.unwrap_or(ROTATE);
        if bytes < LEAST_ROTATE {
            return Err(Error::Rotate);
        }
        Ok(bytes)
    }

    /// `counted`: whose sessions the vault is locked with.
    pub(super) fn settings(self, counted: Counted) -> Result<Settings, Error> {
        Ok(Settings {
            hid_sockets: self.tokens.hid_sockets,
            pcsc: self.tokens.pcsc.unwrap_or(true),
            attestation_roots: Arc::new(roots(&self.tokens.attestation_roots)?),
            allowed_endpoints: self.aws.allowed_endpoints,
            policy: self.policy.rules(),
            drill_every: self.custody.drill_every(),
            lock_after: self.lock.after(),
            lock_when: self.lock.when(counted),
        })
    }
}

fn roots(files: &[PathBuf]) -> Result<Roots, Error> {
    let mut roots = Roots::default();
    for path in files {
        let failed = |reason: String| Error::Config { path: path.clone(), reason };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        roots.add_pem(&pem).map_err(|_why| failed("no certificates in PEM that can be read".to_owned()))?;
    }
    Ok(roots)
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
        let settings = config.unwrap().settings(Counted::Own).unwrap();
        assert_eq!(settings.hid_sockets, [PathBuf::from("/run/a")]);
        assert_eq!(settings.allowed_endpoints, ["http://127.0.0.1:1"]);
        assert_eq!(settings.lock_after, LockAfter::default());
        let after = |text| parse(text).unwrap().settings(Counted::Own).unwrap().lock_after;
        let idle = after("[lock]\nidle_seconds = 5\nlongest_seconds = 0\n");
        assert_eq!(idle, LockAfter { idle: Some(Duration::from_secs(5)), longest: None });
        assert_eq!(settings.lock_when, LockWhen::default());
        let when = |text| parse(text).unwrap().settings(Counted::Seated).unwrap().lock_when;
        let all = LockWhen { counted: Counted::Seated, ..LockWhen::default() };
        assert_eq!(when("[lock]\nwhen_machine_sleeps = false\n"), LockWhen { machine_sleeps: false, ..all });
        assert_eq!(when("[lock]\nwhen_session_locks = false\n"), LockWhen { session_locks: false, ..all });
        assert_eq!(when("[lock]\nwhen_user_switches = false\n"), LockWhen { user_switches: false, ..all });
        let grace = LockWhen { token_is_removed: Some(Duration::from_secs(9)), ..all };
        assert_eq!(when("[lock]\nremoval_grace_seconds = 9\n"), grace);
        let never = "[lock]\nwhen_token_is_removed = false\nremoval_grace_seconds = 9\n";
        assert_eq!(when(never), LockWhen { token_is_removed: None, ..all });
        assert!(parse("").is_ok());
        assert_eq!(parse("").unwrap().rotate_bytes().unwrap(), ROTATE);
        assert_eq!(parse("[audit]\nrotate_bytes = 4096\n").unwrap().rotate_bytes().unwrap(), 4096);
        assert!(parse("[audit]\nrotate_bytes = 4095\n").unwrap().rotate_bytes().is_err());
        assert!(parse("[tokens]\nhid_socket = []\n").unwrap_err().starts_with("line 2: unknown field"));
        let policy = |text| parse(text).map(|config| config.settings(Counted::Own).unwrap().policy);
        let strict = policy(
            "[policy]\ndemand_reason = true\nhours_utc = [\"Sat-Sun 00:00-24:00\"]\nuse_uids = [2, 1]\n",
        );
        let strict = strict.unwrap();
        assert!(strict.demand_reason && strict.hours.len() == 1 && strict.use_uids == [1, 2]);
        for (bad, line) in [
            ("[policy]\nhours_utc = [\"at night\"]\n", "line 2: \"at night\" is not written"),
            ("[policy]\n\nlongest_session_seconds = 60\n", "line 3: a session may last 900"),
            ("[policy]\ndemand_reasons = true\n", "line 2: unknown field"),
            ("[policy]\nuse_uids = [-1]\n", "line 2: "),
            ("[policy]\nuse_uids = []\n", "line 2: name 1 to 256"),
            ("[policy]\nhours_utc = []\n", "line 2: name at least one"),
            ("[policy]\nmanage_uids = \"root\"\n", "line 2: "),
        ] {
            let error = policy(bad).unwrap_err();
            assert!(error.starts_with(line), "{error}");
        }
        assert!(parse("[aws\n").unwrap_err().starts_with("line 1"));
    }
}
