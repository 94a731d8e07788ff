//! What may be typed about profiles.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProfileCommand {
    /// Add a profile
    #[command(after_help = "Example: rootseal profile add prod-root --account prod --duration 3600")]
    Add {
        /// A name of your choice; the AWS profile is called the same
        name: String,
        /// The account's name
        #[arg(long, value_name = "A")]
        account: String,
        /// How many seconds a session lasts [default: 3600]
        #[arg(long, value_name = "S")]
        duration: Option<u32>,
        /// The AWS region
        #[arg(long, value_name = "R")]
        region: Option<String>,
    },
    /// List them
    List,
    /// Remove one
    Remove {
        /// Its name
        name: String,
    },
}
