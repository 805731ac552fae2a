//! `wampgres check`: says whether a configuration is sound and what it describes, and with
//! `--database` whether PostgreSQL can prepare its SQL. Serves nothing.

use std::process::ExitCode;

use super::{CheckArgs, FAULTY, load, look, refuse};
use crate::config::NodeConfig;
use component::{
    Classes,
    sql::{self, SqlComponent},
};

pub(super) fn run(args: &CheckArgs, classes: &Classes) -> ExitCode {
    let file = &args.config.config;
    match load(file, classes) {
        Ok(mut config) => {
            println!("{}: no faults\n{config}", file.display());
            if args.database || args.embedded.is_given() {
                return check_database(&mut config, args, classes);
            }
            ExitCode::SUCCESS
        }
        Err(error) => refuse(file, &error),
    }
}

/// Prints what PostgreSQL says of the SQL.
fn check_database(config: &mut NodeConfig, args: &CheckArgs, classes: &Classes) -> ExitCode {
    let check = |json_path: &str, component: SqlComponent<'_>| {
        (json_path.to_owned(), sql::check(component))
    };
    let checked = match look::at_sql(config, &args.embedded, classes, check) {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    if checked.is_empty() {
        println!("no component has SQL: none is of the class sql.Procedures");
    }
    for (json_path, check) in checked {
        println!(
            "{json_path}: PostgreSQL has prepared {} procedures",
            check.prepared
        );
        for function in check.left_out {
            println!("  not served: {function}");
        }
        if let Some(why) = check.unavailable {
            eprintln!("{json_path}: PostgreSQL could not be asked for all procedures: {why}");
            code = ExitCode::FAILURE;
        }
        if !check.faults.is_empty() {
            let noun = if check.faults.len() == 1 {
                "fault"
            } else {
                "faults"
            };
            eprintln!("{json_path}: {} {noun} in the SQL", check.faults.len());
            for fault in check.faults {
                eprintln!("  {fault}");
            }
            code = ExitCode::from(FAULTY);
        }
    }
    code
}
