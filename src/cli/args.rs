//! What may be typed.

mod audit;
mod codes;
mod policy;
mod profile;
mod vault;

pub(super) use audit::{AuditCommand, AuditFilter};
pub(super) use codes::{OathCommand, SeedSource, TotpCommand};
pub(super) use policy::{ANY, PolicyCommand, PolicyRulesArgs, Uids};
pub(super) use profile::ProfileCommand;
pub(super) use vault::VaultCommand;

use crate::cli::pin::PinFile;
use crate::dbus::names::{OATH_ID, RECOVERY_ID};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Seals AWS root keys behind a security token and hands out just what a sign-in needs.
#[derive(Debug, Parser)]
#[command(name = "rootseal", bin_name = "rootseal", version, disable_help_subcommand = true, after_help = EXAMPLE)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) options: Options,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLE: &str = "Example, from a downloaded key to a signed-in AWS CLI:
  rootseal init --label \"blue key\"
  rootseal account add prod --account-id 111122223333
  rootseal key import prod rootkey.csv
  rootseal totp add prod --uri-file uri.txt
  rootseal profile add prod-root --account prod
  rootseal aws-config prod-root >> ~/.aws/config
  aws sts get-caller-identity --profile prod-root

Exit codes: 0 done, 1 failed, 2 usage, 3 daemon not reachable, 4 locked or prompt refused,
5 token missing or blocked, 6 not authorised, 7 vault damaged.";

/// Options of every command.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Options {
    /// Where the daemon is
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        help = "Where the daemon is: session, system, unix:path=SOCKET or bus:ADDRESS (or set ROOTSEAL_ADDRESS)"
    )]
    pub(super) address: Option<String>,
    /// Take the PIN from a file that only you can read, or from /dev/fd/N; may be repeated
    #[arg(long = "pin-file", global = true, value_name = "[TOKEN=]PATH", value_parser = PinFile::value_parser())]
    pub(super) pin_files: Vec<PinFile>,
    /// Use this token and no other (see rootseal token list); where several holders must consent, several
    #[arg(long, global = true, value_name = "ID[,ID]")]
    pub(super) token: Option<String>,
    /// Use the recovery code in this file in a token's place; where several holders must consent, besides
    #[arg(long, global = true, value_name = "F")]
    pub(super) recovery_code_file: Option<PathBuf>,
    /// Why: shown in the prompt and kept in the audit log
    #[arg(long, global = true, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Fail instead of asking for a PIN or a touch
    #[arg(long, global = true)]
    pub(super) no_prompt: bool,
    /// Print JSON where there is something to list
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Options {
    /// What is to be used: tokens, and the recovery code where a file has it. A token that makes codes is named for
    /// those alone.
    pub(super) fn named(&self) -> Option<String> {
        self.consenting(self.token.clone())
    }

    /// The same, where other tokens consent than the one that the command is about.
    pub(super) fn consenting(&self, tokens: Option<String>) -> Option<String> {
        match (tokens, &self.recovery_code_file) {
            (None, Some(_)) => Some(RECOVERY_ID.to_owned()),
            (Some(tokens), Some(_)) if !tokens.starts_with(OATH_ID) => {
                Some(format!("{tokens},{RECOVERY_ID}"))
            }
            (tokens, _) => tokens,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a vault that opens with the token at hand
    #[command(after_help = "Example: rootseal init --label \"blue key\"")]
    Init {
        /// What to call the token
        #[arg(long)]
        label: Option<String>,
        /// Whose token it is [default: owner]
        #[arg(long, value_name = "NAME")]
        holder: Option<String>,
        /// Let a recovery code open the vault, too, and write it into this new file (- for standard output)
        #[arg(long, value_name = "F")]
        recovery_code_out: Option<PathBuf>,
        #[command(flatten)]
        key: KeyChoice,
    },
    /// Show the daemon, the vault and the tokens
    Status,
    /// Open the vault's index: names and profiles, no secrets
    Unlock,
    /// Lock the vault and forget every session
    Lock,
    /// Show the tokens that are plugged in
    #[command(subcommand)]
    Token(TokenCommand),
    /// Add, list, check or remove the keyslots of the vault: the tokens that open it
    #[command(subcommand)]
    Keyslot(KeyslotCommand),
    /// Set and show how many holders must consent
    #[command(subcommand)]
    Quorum(QuorumCommand),
    /// Set and show the rules for whoever uses the vault
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Add, list, show or remove AWS accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Seal and list access keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Seal TOTP seeds or put them on tokens, and get codes
    #[command(subcommand)]
    Totp(TotpCommand),
    /// See and change the OATH accounts on a token, whoever put them there
    #[command(subcommand)]
    Oath(OathCommand),
    /// Add, list or remove profiles: an account, and what session to get for it
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Print a session as JSON
    #[command(
        about = "Print a session as JSON, for credential_process in ~/.aws/config",
        after_help = "Example: rootseal credentials prod-root"
    )]
    Credentials {
        /// The profile's name
        profile: String,
    },
    /// Print the lines that ~/.aws/config needs for a profile
    #[command(name = "aws-config", after_help = "Example: rootseal aws-config prod-root >> ~/.aws/config")]
    AwsConfig {
        /// The profile's name
        profile: String,
        /// The region, where the profile has none
        #[arg(long)]
        region: Option<String>,
    },
    /// Verify, copy and restore the vault file
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Look at all that custody rests on, and say what to do
    #[command(after_help = "Example: rootseal doctor --time-source https://sts.amazonaws.com/")]
    Doctor {
        /// Compare the clock with the Date that this server's answer has
        #[arg(long, value_name = "URL")]
        time_source: Option<String>,
    },
    /// Prove every keyslot and a backup, one after another, and print a report
    #[command(after_help = "Example: rootseal drill --backup /media/safe/vault.rseal")]
    Drill {
        /// A copy of the vault file, from vault backup
        #[arg(long, value_name = "FILE")]
        backup: Option<PathBuf>,
    },
    /// Show the prompts of all your programs here, and answer them
    #[command(
        after_help = "While a prompt is on show, n, Escape or Ctrl-C refuses it; a PIN is typed unseen. q ends the agent."
    )]
    Agent {
        /// Tell of them by desktop notifications, too
        #[arg(long)]
        notify: bool,
    },
    /// Show, verify or export the record of what was asked for, granted or refused
    #[command(subcommand)]
    Audit(AuditCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// List them
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyslotCommand {
    /// Let a further token open the vault; one that does consents
    #[command(
        after_help = "Example: rootseal --token fido_1a2b3c4d keyslot add --label \"spare, in the safe\""
    )]
    Add {
        /// What to call the token
        #[arg(long)]
        label: String,
        /// Whose token it is [default: the vault's only holder; of a recovery code: nobody else's]
        #[arg(long, value_name = "NAME")]
        holder: Option<String>,
        /// No token: a recovery code, written into this new file (- for standard output)
        #[arg(long, value_name = "F", conflicts_with_all = ["slot", "generate", "management_key_file"])]
        recovery_code_out: Option<PathBuf>,
        /// The token that consents, where several could
        #[arg(long, value_name = "ID")]
        with: Option<String>,
        #[command(flatten)]
        key: KeyChoice,
    },
    /// List them
    List,
    /// Remove one, and make new keys
    #[command(
        after_help = "A removed token opens nothing that is saved afterwards. Copies of the vault made before still open \
                      with it: rotate what they hold if it is lost."
    )]
    Remove {
        /// The keyslot's id
        id: String,
    },
    /// Give one another name
    Relabel {
        /// The keyslot's id
        id: String,
        /// Its new name
        label: String,
    },
    /// Prove that one still opens the vault; nothing is changed
    Check {
        /// The keyslot's id [default: the one whose token is plugged in]
        id: Option<String>,
    },
    /// Make new keys for all keyslots, whether or not their tokens are plugged in
    #[command(
        after_help = "Copies of the vault made before still open with the tokens that opened them then."
    )]
    Rekey,
}

#[derive(Debug, Subcommand)]
pub(super) enum QuorumCommand {
    /// Set how many holders must consent, and make new keys
    #[command(after_help = "Example, the two-person rule: rootseal quorum set --unlock 1 --guard 2")]
    Set {
        /// To open the index
        #[arg(long, value_name = "N")]
        unlock: u32,
        /// To use what is guarded: keys, seeds, passwords; and to change keyslots and this
        #[arg(long, value_name = "N")]
        guard: u32,
    },
    /// Show how many must, and who can
    Show,
}

/// How the key of a smart card is chosen or made.
#[derive(Args, Debug)]
#[command(next_help_heading = "For smart cards (PIV)")]
pub(super) struct KeyChoice {
    /// The slot with the key: 9d, or 82 to 95 (OTP: 1 or 2) [default: 9d; OTP: 2]
    #[arg(long)]
    pub(super) slot: Option<String>,
    /// Make a new key in the slot, which must be empty: p256, p384, rsa2048, rsa3072 or rsa4096
    #[arg(long, value_name = "ALGORITHM")]
    pub(super) generate: Option<String>,
    /// A file with the management key in hexadecimal (- for standard input) [default: the one on the card, protected
    /// by its PIN, or the factory's]
    #[arg(long, value_name = "F", requires = "generate")]
    pub(super) management_key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Add an account
    #[command(
        after_help = "Example: rootseal account add prod --account-id 111122223333 --email root@example.com"
    )]
    Add {
        /// A name of your choice
        name: String,
        /// The account's twelve digits
        #[arg(long, value_name = "N")]
        account_id: String,
        /// The partition [default: aws]
        #[arg(long, value_name = "P")]
        partition: Option<String>,
        /// The IAM user whose keys these are [default: the root user]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// The address the root user signs in with
        #[arg(long, value_name = "E")]
        email: Option<String>,
    },
    /// List them
    List,
    /// Show one
    Show {
        /// Its name
        name: String,
    },
    /// Remove one, with the keys and seeds sealed under it
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Seal the access key in a rootkey.csv
    #[command(after_help = "Example: rootseal key import prod rootkey.csv")]
    Import {
        /// The account's name
        account: String,
        /// The file; - for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// List the sealed keys' ids
    List {
        /// Of this account only
        account: Option<String>,
    },
}

/// The line that `aws-config` writes, `[--address ADDRESS] credentials PROFILE`, which SDKs run again and again:
/// to read it takes no grammar of all commands, whose making would take longer than all else that the call does.
/// `None`: it is anything else.
pub(super) fn every_day(args: impl Iterator<Item = OsString>) -> Option<Cli> {
    let mut args = args.map(|arg| arg.into_string().ok());
    let mut word = args.next()??;
    let mut address = None;
    if word == "--address" {
        address = Some(args.next()??);
        word = args.next()??;
    }
    let profile = args.next()??;
    let plain = |word: &str| !word.is_empty() && !word.starts_with('-');
    let ours = word == "credentials" && plain(&profile) && address.as_deref().is_none_or(plain);
    if !ours || args.next().is_some() {
        return None;
    }
    let options = Options { address, ..Options::default() };
    Some(Cli { options, command: Command::Credentials { profile } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_sdks_is_read_as_any_other() {
        let short = |line: &[&str]| every_day(line.iter().map(OsString::from));
        for line in
            [&["credentials", "prod-root"][..], &["--address", "unix:path=/run/x", "credentials", "my root"]]
        {
            let whole = Cli::try_parse_from(std::iter::once(&"rootseal").chain(line)).unwrap();
            assert_eq!(format!("{:?}", short(line).unwrap()), format!("{whole:?}"));
        }
        for other in [
            &[][..],
            &["credentials"],
            &["credentials", "-h"],
            &["credentials", ""],
            &["credentials", "a", "b"],
            &["credentials", "a", "--no-prompt"],
            &["--address", "--json", "credentials", "a"],
            &["--address", "session", "status"],
            &["lock", "a"],
        ] {
            assert!(short(other).is_none(), "{other:?}");
        }
    }
}
