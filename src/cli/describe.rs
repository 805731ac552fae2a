//! `wampgres describe`: what procedures in SQL there are, for people, as JSON or as TypeScript. Owns
//! where they are asked for; must not know how they are written.

mod table;
mod typescript;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Args;
use component::{
    Classes,
    sql::{self, SqlComponent},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use wamp::Payload;

use super::{
    client::{ConnectArgs, Failure, Session, Told, compact, exit, exit_codes},
    load, look,
};

pub(super) const HELP: &str = concat!(
    "\
Examples:
  wampgres describe                                  those that you may call, of the node that runs here
  wampgres describe com.shop.goods --json | jq .procedure
  wampgres describe --database --typescript > procedures.ts

A node is asked by its procedure wampgres.describe: a role needs the permission to call it, and that of
the component to register it. With --json each procedure is a line of JSON on standard output.

",
    exit_codes!()
);

#[derive(Args)]
pub(super) struct DescribeArgs {
    /// What the URIs of the procedures begin with [default: all]
    #[arg(value_name = "PREFIX", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Print JSON, a line for each procedure
    #[arg(long, conflicts_with = "typescript")]
    json: bool,
    /// Print a module in TypeScript: the types of all procedures, and functions that call them by a
    /// session of AutobahnJS
    #[arg(long)]
    typescript: bool,
    /// Ask no node but the databases of --config [default: config.json], as `check --database` does.
    /// Implied by --embedded-postgres
    #[arg(long, conflicts_with_all = ["url", "realm", "procedure"])]
    database: bool,
    /// The procedure that describes the others
    #[arg(long, value_name = "URI", default_value = sql::DESCRIBE)]
    procedure: String,
    #[command(flatten)]
    embedded: look::EmbeddedArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A procedure, as `docs/sql.md` has it.
#[derive(Deserialize)]
struct Described {
    procedure: String,
    description: String,
    parameters: Vec<Parameter>,
    #[serde(default)]
    takes_all: bool,
    prepared: bool,
    results: Vec<ResultOf>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    r#type: Option<String>,
    typescript: String,
    optional: bool,
    #[serde(default)]
    variadic: bool,
    default: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ResultOf {
    name: Option<String>,
    returns: String,
    columns: Vec<Column>,
    typescript: String,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    r#type: String,
}

pub(super) fn run(args: &DescribeArgs, classes: &Classes) -> ExitCode {
    exit("describe", describe(args, classes))
}

fn describe(args: &DescribeArgs, classes: &Classes) -> Result<(), Failure> {
    let all = if args.database || args.embedded.is_given() {
        of_databases(args, classes)?
    } else {
        of_node(args, classes)?
    };
    let mut out = io::stdout().lock();
    if args.json {
        for one in &all {
            writeln!(out, "{}", compact(one.get()))?;
        }
        return Ok(());
    }
    let read = |one: Box<RawValue>| serde_json::from_str::<Described>(one.get());
    let all = all.into_iter().map(read).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|why| unreadable(&why.to_string()))?;
    if args.typescript {
        write!(out, "{}", typescript::module(&all))?;
    } else {
        write!(out, "{}", table::of(&all))?;
    }
    Ok(())
}

/// Asks a node.
fn of_node(args: &DescribeArgs, classes: &Classes) -> Result<Vec<Box<RawValue>>, Failure> {
    let session = Session::open(&args.connect, classes)?;
    let prefix = Payload::from_args(&[&args.prefix]).unwrap_or_default();
    session.call(args.procedure.as_str().into(), prefix, false);
    let answer = loop {
        match session.next(None) {
            Ok(Told::Answered(result)) => break result.map_err(Failure::Refused),
            Ok(_) => {}
            Err(failure) => break Err(failure),
        }
    };
    session.leave();
    let (all,) = (answer?.args()).map_err(|why| unreadable(&why.to_string()))?;
    Ok(all)
}

/// Asks the databases of a configuration.
fn of_databases(args: &DescribeArgs, classes: &Classes) -> Result<Vec<Box<RawValue>>, Failure> {
    let file = args.connect.config().unwrap_or(Path::new("config.json"));
    let usage = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", file.display()));
    let mut config = load(file, classes).map_err(|why| usage(&why))?;
    let describe = |json_path: &str, component: SqlComponent<'_>| {
        let described = sql::describe(component);
        described.map_err(|why| usage(&format!("{json_path}: {}", why.message())))
    };
    let all = look::at_sql(&mut config, &args.embedded, classes, describe);
    let all = all.map_err(|why| Failure::NoSession(why.to_string()))?;
    let mut described = Vec::new();
    for of_component in all {
        described.extend(of_component?);
    }
    described.retain(|one| one.procedure().starts_with(&args.prefix));
    if described.iter().any(|one| !one.is_prepared()) {
        let why = "some procedures are without their types: `wampgres check --database` says why";
        let _ = writeln!(io::stderr(), "wampgres describe: {why}");
    }
    let raw = described.iter().map(serde_json::value::to_raw_value);
    Ok(raw
        .collect::<Result<_, _>>()
        .expect("descriptions have a JSON form"))
}

fn unreadable(why: &str) -> Failure {
    let why = format!("what the node answers is no list of procedures: {why}");
    Failure::NoSession(why)
}
