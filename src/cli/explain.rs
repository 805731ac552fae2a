//! `wampgres explain`: what PostgreSQL plans to do for a call of a procedure in SQL. Owns what is
//! printed; must not know how PostgreSQL is asked.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use component::{
    Classes,
    sql::{self, ExplainOptions, SqlComponent, StatementPlan},
};
use serde_json::value::RawValue;
use wamp::{Payload, error_uri};

use super::{
    ConfigArgs,
    client::{Failure, PayloadArgs, Source, compact, exit, input},
    load, look,
};

pub(super) const HELP: &str = "\
Examples:
  wampgres explain com.shop.goods.cheap 10
  wampgres explain com.shop.order 4 --analyze   run it as well, and roll it back

No node is asked, and none need run: the statements are planned on the database of the configuration,
with these arguments and with the settings of the procedure's transaction. They are shown as they are
run, with the limits of their results. With --json each statement is a line of JSON.

Exit codes: 0 done; 1 the database could not be asked; 2 the command line or the configuration has
faults, or no such procedure; 3 the arguments do not suit, or PostgreSQL refuses the procedure.";

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The procedure
    #[arg(value_name = "URI")]
    procedure: String,
    #[command(flatten)]
    payload: PayloadArgs,
    /// Run the statements, in a transaction that is rolled back, and show what they took. What is not
    /// undone with a transaction stays: numbers of sequences, and what functions do elsewhere
    #[arg(long)]
    analyze: bool,
    /// Print JSON, a line for each statement
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    embedded: look::EmbeddedArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &ExplainArgs, classes: &Classes) -> ExitCode {
    exit("explain", explain(args, classes))
}

fn explain(args: &ExplainArgs, classes: &Classes) -> Result<(), Failure> {
    let payload = match args.payload.source()? {
        Source::CommandLine(payload) => payload,
        Source::Input(file) => input::read_one(file)?,
    };
    let plans = plans(args, classes, &payload)?;
    let mut out = io::stdout().lock();
    let count = plans.len();
    for (index, plan) in plans.iter().enumerate() {
        let number = index + 1;
        if args.json {
            writeln!(out, "{}", in_json(&args.procedure, number, plan))?;
        } else {
            write!(out, "{}", in_text((number, count), plan))?;
        }
    }
    Ok(())
}

fn plans(
    args: &ExplainArgs,
    classes: &Classes,
    payload: &Payload,
) -> Result<Vec<StatementPlan>, Failure> {
    let file = &args.config.config;
    let usage = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let mut config = load(file, classes).map_err(|why| usage(why.to_string()))?;
    let options = ExplainOptions {
        analyze: args.analyze,
        json: args.json,
    };
    let explain = |_: &str, component: SqlComponent<'_>| {
        sql::explain(component, &args.procedure, payload, options)
    };
    let found = look::at_sql(&mut config, &args.embedded, classes, explain);
    let found = found.map_err(|why| Failure::NoSession(why.to_string()))?;
    let plans = found.into_iter().find_map(Result::transpose);
    let Some(plans) = plans else {
        let procedure = &args.procedure;
        let why = format!("no component of the class sql.Procedures has {procedure}");
        return Err(usage(why));
    };
    plans.map_err(|error| {
        if error.uri().as_str() == error_uri::UNAVAILABLE {
            return Failure::NoSession(error.message().to_owned());
        }
        Failure::Refused(wamp_client::Error::new(
            error.uri().clone(),
            error.message(),
        ))
    })
}

fn in_text((number, count): (usize, usize), plan: &StatementPlan) -> String {
    let place = &plan.place;
    let mut text = match count {
        1 => format!("-- {place}\n"),
        _ => format!("-- statement {number} of {count}, {place}\n"),
    };
    for line in plan.sql.lines().filter(|line| !line.trim().is_empty()) {
        text.push_str(&format!("-- {line}\n"));
    }
    let words = plan.plan.as_deref();
    text.push_str(words.unwrap_or("PostgreSQL plans nothing for such a statement"));
    text.push('\n');
    if number < count {
        text.push('\n');
    }
    text
}

fn in_json(procedure: &str, number: usize, plan: &StatementPlan) -> String {
    let StatementPlan { place, sql, plan } = plan;
    let plan = plan
        .as_deref()
        .and_then(|plan| RawValue::from_string(compact(plan)).ok());
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "{{\"procedure\":{},\"statement\":{number},\"place\":{},\"sql\":{},\"plan\":{}}}",
        text(procedure),
        text(place),
        text(sql),
        plan.as_deref().map_or("null", RawValue::get),
    )
}
