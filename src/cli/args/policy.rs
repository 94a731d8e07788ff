//! `policy`.

use clap::{ArgGroup, Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// Lay down other rules in the vault: they bind on every machine, and its holders must consent
    #[command(
        after_help = "Rules that are not given stay. Example: rootseal policy set --demand-reason yes --hours \
                            \"Mon-Fri 08:00-18:00\" --longest-session 3600"
    )]
    Set(PolicyRulesArgs),
    /// Show the vault's rules and those of the daemon's configuration; the stricter ones bind
    Show,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("rules").required(true).multiple(true))]
pub(in crate::cli) struct PolicyRulesArgs {
    /// Whether sessions, codes and changes need --reason
    #[arg(long, group = "rules", value_name = "yes|no", value_parser = yes_or_no)]
    pub(in crate::cli) demand_reason: Option<bool>,
    /// When sessions and codes may be had, in UTC; may be repeated; "any" takes it back
    #[arg(long, group = "rules", value_name = "DAYS HH:MM-HH:MM")]
    pub(in crate::cli) hours: Vec<String>,
    /// How many seconds a session lasts at most; "any" takes it back
    #[arg(long, group = "rules", value_name = "S", value_parser = number_or_any)]
    pub(in crate::cli) longest_session: Option<u32>,
    /// Who may unlock: user ids, with commas; "any" takes it back
    #[arg(long, group = "rules", value_name = "UID[,UID]", value_parser = Uids::parse)]
    pub(in crate::cli) unlock_uids: Option<Uids>,
    /// Who may get sessions and codes
    #[arg(long, group = "rules", value_name = "UID[,UID]", value_parser = Uids::parse)]
    pub(in crate::cli) use_uids: Option<Uids>,
    /// Who may change the vault
    #[arg(long, group = "rules", value_name = "UID[,UID]", value_parser = Uids::parse)]
    pub(in crate::cli) manage_uids: Option<Uids>,
}

/// What takes a rule back.
pub(in crate::cli) const ANY: &str = "any";

/// User ids; empty: anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Uids(pub(in crate::cli) Vec<u32>);

impl Uids {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == ANY {
            return Ok(Self(Vec::new()));
        }
        let uids = text.split(',').map(str::parse).collect::<Result<_, _>>();
        uids.map(Self).map_err(|_no_number| "user ids are numbers, with commas between them, or any")
    }
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("say yes or no"),
    }
}

fn number_or_any(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        Ok(0) => Err("a session lasts 900 seconds at least; any takes the rule back"),
        Ok(seconds) => Ok(seconds),
        Err(_no_number) if text == ANY => Ok(0),
        Err(_no_number) => Err("say a number of seconds, or any"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_or_any() {
        assert_eq!(Uids::parse("any"), Ok(Uids(Vec::new())));
        assert_eq!(Uids::parse("1000,0"), Ok(Uids(vec![1000, 0])));
        for bad in ["", "root", "1,", "-1", "1 2"] {
            assert!(Uids::parse(bad).is_err(), "{bad}");
        }
        assert_eq!((number_or_any("any"), number_or_any("900")), (Ok(0), Ok(900)));
        assert!(number_or_any("0").is_err() && number_or_any("1h").is_err());
    }
}
