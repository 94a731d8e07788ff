//! What may be typed about the vault file.

use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VaultCommand {
    /// Read the file again and verify all that can be verified
    Check,
    /// Copy the sealed file; it opens with the tokens that open the vault now
    Backup {
        /// Where to; there must be nothing yet
        file: PathBuf,
    },
    /// Put a copy of the sealed file in the vault's place; tokens that open the copy consent
    Restore {
        /// The copy
        file: PathBuf,
        /// Also over a later state that is sound
        #[arg(long)]
        older: bool,
    },
}
