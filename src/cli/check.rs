//! `wampgres check`: says whether a configuration is sound and what it describes. Starts nothing.

use std::process::ExitCode;

use super::{CheckArgs, explain, load};
use component::Classes;

pub(super) fn run(args: &CheckArgs, classes: &Classes) -> ExitCode {
    let file = &args.config.config;
    match load(file, classes) {
        Ok(config) => {
            println!("{}: no faults\n{config}", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => explain(file, &error),
    }
}
