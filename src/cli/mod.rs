//! The command line: what is typed, what is asked of the user, what is printed, and the one place that speaks HTTPS.
//!
//! The vault, the tokens and the service may not enter: all of it is reached over D-Bus. On the way of a cached
//! `credentials` call nothing is set up that it does not need (no TLS, no agent, no subscription).

mod address;
mod agent;
mod args;
mod commands;
mod console;
mod daemon;
mod error;
mod handover;
mod https;
mod notifications;
mod output;
mod pin;
mod pinentry;
mod prompt;
mod recovery;
mod refusal;
mod refuser;
mod surface;
mod terminal;

use clap::Parser as _;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match args::every_day(std::env::args_os().skip(1)).map_or_else(args::Cli::try_parse, Ok) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            output::complain(&usage_sentence(&error));
            return ExitCode::from(2);
        }
        Err(help) => {
            let _unwritable = help.print();
            return ExitCode::SUCCESS;
        }
    };
    // A few sockets: the room that is made for their events is touched, page by page.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_io_events_per_tick(16).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => {
            output::complain(&format!("the system refused an event loop: {source}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(cli));
    // A request that is still on its way must not hold up the end of a cancelled command. A prompt that is open ends
    // with the loop, and gives the terminal back as it was.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            error.exit_code()
        }
    }
}

/// clap says it in several lines; ours is one sentence.
fn usage_sentence(error: &clap::Error) -> String {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing; see `rootseal --help`".to_owned();
    }
    let text = error.to_string();
    let text = text.as_str();
    let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more")).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(text);
    let words: Vec<&str> = text.strip_prefix("error:").unwrap_or(text).split_whitespace().collect();
    format!("{}; see `rootseal --help`", words.join(" "))
}
