//! The command line: its grammar, and one file a command. Owns words and exit codes; must not know
//! how a node works.

mod check;
mod logging;
mod start;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    component::Classes,
    config::{self, ConfigError, NodeConfig},
};

/// The exit code for a configuration or command line with faults.
const FAULTY: u8 = 2;

/// Calls PostgreSQL from browsers and Autobahn clients over WAMP: a router, a web server and
/// database components in one process.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartArgs,
}

const EXAMPLES: &str = "\
Examples:
  wampgres                                run the node that ./config.json describes
  wampgres start --embedded-postgres      the same, with a private PostgreSQL of its own
  wampgres check --config /etc/node.json  list every fault of a configuration

Without a command the node is started. The log goes to standard error; RUST_LOG sets what it
tells, for example RUST_LOG=debug or RUST_LOG=wampgres::adbapi=debug,info.

Exit codes: 0 stopped by a signal or all is well, 1 something failed, 2 the configuration or the
command line has faults.";

#[derive(Subcommand)]
enum Command {
    /// Run the node until SIGINT or SIGTERM (this is the default)
    Start(StartArgs),
    /// Check a configuration and list all of its faults
    Check(CheckArgs),
    /// Print the version
    Version,
}

#[derive(Args)]
struct StartArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Run a private PostgreSQL cluster in DIR, from the server programs that are installed, and
    /// use it in place of the host and port of the configuration
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    embedded_postgres: Option<Option<PathBuf>>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Args)]
struct ConfigArgs {
    /// The configuration, in the format of Crossbar.io's config.json
    #[arg(long, value_name = "FILE", default_value = "config.json")]
    config: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Runs the program with these component classes: reads the command line, does what it says,
/// and gives the exit code. A program with classes of its own calls this in its `main`.
///
/// # Blocking
/// For as long as the command runs; `start` runs until a signal.
pub fn run(classes: &Classes) -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Start(cli.start)) {
        Command::Start(args) => start::run(&args, classes),
        Command::Check(args) => check::run(&args, classes),
        Command::Version => {
            println!("wampgres {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn load(file: &Path, classes: &Classes) -> Result<NodeConfig, ConfigError> {
    let names: Vec<_> = classes.names().collect();
    let with_database: Vec<_> = classes.names_with_database().collect();
    let options = config::Options {
        classes: &names,
        database_classes: &with_database,
        environment: &config::process_environment,
    };
    config::load(file, &options)
}

/// Says on standard error what is wrong with a configuration.
fn explain(file: &Path, error: &ConfigError) -> ExitCode {
    eprintln!("{}: {error}", file.display());
    ExitCode::from(FAULTY)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
