//! Arguments to command to exit code; owns no logic.

use std::process::ExitCode;

use wampgres::{cli, component::Classes};

fn main() -> ExitCode {
    cli::run(&Classes::default())
}
