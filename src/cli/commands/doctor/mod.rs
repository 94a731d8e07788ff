//! `doctor`: looks at everything that custody rests on, and says what to do.

mod clock;
mod custody;
mod system;

use super::Session;
use crate::cli::error::Error;
use crate::cli::output;
use crate::dbus::names::MANAGER_PATH;
use crate::dbus::proxy::ManagerProperties;
use serde::Serialize;

/// How it is with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Good,
    /// Weaker than it could be.
    Weak,
    /// Something that is promised does not hold.
    Bad,
    /// It was not looked at.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    about: String,
    health: Health,
    text: String,
    /// What to do; empty where nothing is.
    advice: String,
}

impl Finding {
    fn new(about: &str, health: Health, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { about: about.to_owned(), health, text: text.into(), advice: advice.into() }
    }

    fn good(about: &str, text: impl Into<String>) -> Self {
        Self::new(about, Health::Good, text, "")
    }
}

pub(super) async fn run(session: &Session, time_source: Option<&str>) -> Result<(), Error> {
    let mut findings = vec![daemon(session).await?];
    findings.extend(custody::look(session).await?);
    report(findings, session.options.json, time_source).await
}

/// As [`run`], where no daemon can be reached, which is a finding like any other.
pub(super) async fn without_daemon(
    error: &Error,
    as_json: bool,
    time_source: Option<&str>,
) -> Result<(), Error> {
    let advice = "then run this again: what only the daemon knows is missing below";
    report(vec![Finding::new("daemon", Health::Bad, error.to_string(), advice)], as_json, time_source).await
}

async fn report(mut findings: Vec<Finding>, as_json: bool, time_source: Option<&str>) -> Result<(), Error> {
    findings.extend(system::look());
    findings.push(clock::look(time_source).await);
    if as_json {
        output::json(&findings)?;
    } else {
        output::lines(findings.iter().flat_map(lines))?;
    }
    let bad: Vec<_> = findings.iter().filter(|finding| finding.health == Health::Bad).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Error::Unwell(bad.iter().map(|finding| finding.about.as_str()).collect::<Vec<_>>().join(", ")))
}

async fn daemon(session: &Session) -> Result<Finding, Error> {
    let about: ManagerProperties = session.daemon.properties(MANAGER_PATH, "org.rootseal.Manager1").await?;
    let (ours, place) = (env!("CARGO_PKG_VERSION"), session.choice.address.to_string());
    if about.version == ours {
        return Ok(Finding::good("daemon", format!("rootseald {ours} answers at {place}")));
    }
    let text = format!("rootseald at {place} is version {}, rootseal is {ours}", about.version);
    Ok(Finding::new(
        "daemon",
        Health::Weak,
        text,
        "install the same version of both and start rootseald again",
    ))
}

fn lines(finding: &Finding) -> Vec<String> {
    let mark = match finding.health {
        Health::Good => "good   ",
        Health::Weak => "WEAK   ",
        Health::Bad => "BAD    ",
        Health::Unknown => "unknown",
    };
    let mut lines = vec![format!("{mark}  {}: {}", finding.about, finding.text)];
    if !finding.advice.is_empty() {
        lines.push(format!("         what to do: {}", finding.advice));
    }
    lines
}
