//! `wampgres sql-install`: puts the schema `wampgres` into databases, prints it, or takes it out. Owns
//! words and exit codes; must not know what is in the schema.

use std::process::ExitCode;

use super::{
    FAULTY, SqlInstallArgs, load,
    look::{self, CLOSE_TIME},
    refuse,
};
use crate::{
    config::NodeConfig,
    node::{StopTimes, install_sql},
};
use component::{Classes, sql::Installation};

pub(super) fn run(args: &SqlInstallArgs, classes: &Classes) -> ExitCode {
    let installation = if args.remove {
        Installation::Remove
    } else {
        Installation::Install {
            watch_ddl: args.watch_ddl,
        }
    };
    if args.print {
        print!("{}", installation.script());
        return ExitCode::SUCCESS;
    }
    let file = &args.config.config;
    let mut config = match load(file, classes) {
        Ok(config) => config,
        Err(error) => return refuse(file, &error),
    };
    let meant = (installation, args.database.as_deref());
    let install =
        |config: &NodeConfig| install_sql(config, classes, StopTimes::of(CLOSE_TIME), meant);
    let installed = match look::on_databases(&mut config, &args.embedded, install) {
        Ok(Some(installed)) => installed,
        Ok(None) => {
            eprintln!("{}", nothing_meant(args));
            return ExitCode::from(FAULTY);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    let done = if args.remove {
        "removed from"
    } else {
        "installed in"
    };
    for (database, result) in installed {
        match result {
            Ok(()) => println!("the schema wampgres is {done} {database}"),
            Err(error) => {
                eprintln!("the schema wampgres is not {done} {database}: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Why there is nothing to do.
fn nothing_meant(args: &SqlInstallArgs) -> String {
    let file = args.config.config.display();
    match &args.database {
        Some(name) => format!(
            "{file}: `databases` has no {name:?} that a component uses; without --database the databases of \
             all components of the class sql.Procedures are meant"
        ),
        None => format!(
            "{file}: no component is of the class sql.Procedures; name one of the `databases` with \
             --database"
        ),
    }
}
