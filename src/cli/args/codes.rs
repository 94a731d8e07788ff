//! `totp` and `oath`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TotpCommand {
    /// Seal a TOTP seed, or put it on tokens
    #[command(after_help = "Examples: rootseal totp add prod --qr-file picture.png
          rootseal totp add prod --on-token oath_1a2b3c4d --uri-file uri.txt")]
    Add {
        /// The account's name
        account: String,
        #[command(flatten)]
        source: SeedSource,
        /// The ARN of the MFA device [default: the root user's usual one]
        #[arg(long, value_name = "ARN")]
        mfa_serial: Option<String>,
        /// Put the seed on this token (of the kind oath) and not into the vault; may be repeated
        #[arg(long = "on-token", value_name = "ID")]
        on_tokens: Vec<String>,
        /// Seal it in the vault as well
        #[arg(long, requires = "on_tokens")]
        in_vault: bool,
        /// Let the token give codes without a touch
        #[arg(long, requires = "on_tokens")]
        no_touch: bool,
    },
    /// Print a code that has not been used yet
    Code {
        /// The account's name
        account: String,
        /// Which device, where the account has several
        #[arg(long, value_name = "ARN")]
        mfa_serial: Option<String>,
    },
    /// List the MFA devices, and where the seed of each is
    List {
        /// Of this account only
        account: Option<String>,
    },
    /// Remove a seed for good: from the vault and from the tokens that have it
    #[command(after_help = "Example: rootseal totp remove prod --from-token oath_1a2b3c4d")]
    Remove {
        /// The account's name
        account: String,
        /// Which device, where the account has several
        #[arg(long, value_name = "ARN")]
        mfa_serial: Option<String>,
        /// From this token only; may be repeated
        #[arg(long = "from-token", value_name = "ID")]
        from_tokens: Vec<String>,
    },
}

/// Where a seed comes from; - is standard input.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct SeedSource {
    /// A file with an otpauth:// line (- for standard input)
    #[arg(long = "uri-file", value_name = "F")]
    pub(in crate::cli) uri: Option<PathBuf>,
    /// A file with the base32 secret (- for standard input)
    #[arg(long = "secret-file", value_name = "F")]
    pub(in crate::cli) base32: Option<PathBuf>,
    /// A PNG picture of the QR code (- for standard input)
    #[arg(long = "qr-file", value_name = "F")]
    pub(in crate::cli) qr: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OathCommand {
    /// List them
    List,
    /// Rename one
    Rename {
        /// What it is called
        name: String,
        /// What it is to be called
        new_name: String,
    },
    /// Remove one, with its seed, for good
    Remove {
        /// What it is called
        name: String,
    },
    /// Set the password that the token wants before it shows or does anything with them
    SetPassword {
        /// A file with the new password (- for standard input) [default: typed twice on the terminal]
        #[arg(long, value_name = "F", conflicts_with = "clear")]
        new_password_file: Option<PathBuf>,
        /// Take the password away
        #[arg(long)]
        clear: bool,
    },
}
