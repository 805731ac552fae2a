//! Owns how a prepared procedure is run: values bound, one job, tried again where that is wanted. Must
//! not know how the answer is written.

use std::sync::Arc;

use sql::{ErrorKind, Job, Params, Settings, Statement};
use wamp::{Identity, error_uri};

use super::{
    super::{
        super::{Deferred, Error, RAISED},
        options::Returns,
        types::Argument,
    },
    Procedure,
    answer::Answered,
    guard,
    plan::Plan,
    prepare::{Prepared, PreparedStatement},
    ready::Ready,
    relay::Relay,
    watch::Watch,
};

/// Runs a procedure. Does not block.
pub(super) fn once(
    procedure: &Arc<Procedure>,
    ready: Ready,
    arguments: &[Option<Argument>],
) -> Result<Deferred<Answered>, Error> {
    let Ready { prepared, settings } = ready;
    let mut job = job(&procedure.plan, &prepared, settings, arguments)?;
    let watch = Watch::of(procedure);
    if let Some(watch) = &watch {
        job = watch.times(job);
    }
    let answer = Answered::maker(&procedure.plan, &prepared, watch);
    let this = procedure.clone();
    let results = procedure.callers.db().submit(job);
    Ok(results.map_result(move |result| match result {
        Ok(results) => answer(results),
        Err(error) => Err(told(error, &this)),
    }))
}

/// Asks PostgreSQL for what the call needs, and runs the procedure again as often as its `retry` says.
pub(super) fn with_care(
    procedure: Arc<Procedure>,
    caller: Option<Arc<Identity>>,
    arguments: Vec<Option<Argument>>,
) -> Deferred<Answered> {
    let (relay, deferred) = Relay::new();
    let this = procedure.clone();
    let watch = Watch::of(&procedure);
    procedure.get_ready(caller, move |result| match result {
        Ok(ready) => {
            let left = this.plan.retry;
            attempt(this, ready, arguments, left, (relay, watch));
        }
        Err(error) => relay.resolve(Err(error)),
    });
    deferred
}

fn attempt(
    procedure: Arc<Procedure>,
    ready: Ready,
    arguments: Vec<Option<Argument>>,
    left: u64,
    (relay, watch): (Relay<Answered>, Option<Watch>),
) {
    let Procedure { callers, plan, .. } = &*procedure;
    let mut job = match job(plan, &ready.prepared, ready.settings.clone(), &arguments) {
        Ok(job) => job,
        Err(error) => {
            procedure.forget();
            return relay.resolve(Err(error));
        }
    };
    if relay.is_over() {
        return;
    }
    if let Some(watch) = &watch {
        job = watch.times(job);
    }
    let job = callers.db().submit(job);
    relay.interrupts(job.cancel_handle());
    job.on_result(move |result| match result {
        Err(error) if left > 0 && is_worth_another_try(&error) => {
            attempt(procedure, ready, arguments, left - 1, (relay, watch));
        }
        Err(error) => relay.resolve(Err(told(error, &procedure))),
        Ok(results) => {
            let answer = Answered::maker(&procedure.plan, &ready.prepared, watch);
            relay.resolve(answer(results));
        }
    });
}

/// The SQLSTATE of a COMMIT or ROLLBACK in a transaction that is not its to end.
const INVALID_TERMINATION: &str = "2D000";

/// An error as the caller is told it: PostgreSQL likes to repeat the values that it refuses.
///
/// After one that says that tables or types have become others, the procedure is prepared again.
pub(super) fn told(error: sql::Error, procedure: &Procedure) -> Error {
    let class = error.sqlstate().and_then(|state| state.get(..2));
    if error.kind() == ErrorKind::Value || matches!(class, Some("42" | "0A")) {
        procedure.forget();
    }
    if let Some((is_result, why)) = guard::told(&error) {
        return if is_result {
            Error::new(error_uri::PAYLOAD_SIZE_EXCEEDED, why)
        } else {
            Error::runtime(why)
        };
    }
    let sqlstate = error.sqlstate().map(str::to_owned);
    if sqlstate.as_deref() == Some(INVALID_TERMINATION) {
        let why = "the procedure ends its transaction, which PostgreSQL allows only where nobody else \
                   has begun it: it needs `identity false`, and none of `timeout`, `read_only`, \
                   `isolation` and `dry_run`";
        return Error::runtime(why).with_log(why.to_owned());
    }
    let told = procedure.error(error);
    match sqlstate {
        Some(sqlstate) if procedure.plan.is_secret => without_parameters(told, &sqlstate),
        _ => told,
    }
}

/// An error as it is told where parameters are secret. What SQL itself raises as a WAMP error is what
/// it wants to be told.
fn without_parameters(error: Error, sqlstate: &str) -> Error {
    if sqlstate == RAISED && error.log().is_none() {
        return error;
    }
    let why = format!(
        "PostgreSQL has refused it with SQLSTATE {sqlstate}; the parameters are secret, so no more is told"
    );
    let told = Error::new(error.uri().clone(), &why).with_detail("sqlstate", sqlstate);
    match error.log() {
        Some(_) => told.with_log(why),
        None => told,
    }
}

/// Whether the transaction was rolled back for what others did: a serialization failure, a deadlock.
pub(super) fn is_worth_another_try(error: &sql::Error) -> bool {
    matches!(error.sqlstate(), Some("40001" | "40P01"))
}

fn job(
    plan: &Plan,
    prepared: &Prepared,
    settings: Settings,
    arguments: &[Option<Argument>],
) -> Result<Job, Error> {
    let mut statements = (0..prepared.statements.len())
        .map(|index| statement(plan, index, &prepared.statements[index], arguments));
    let first = statements.next().expect("a procedure has a statement")?;
    let mut job = Job::new(first).with(settings);
    for other in statements {
        job = job.then(other?);
    }
    if plan.options.dry_run == Some(true) {
        // What a commit would find is to be found too.
        let constraints = Statement::new("SET CONSTRAINTS ALL IMMEDIATE", ());
        job = job.then(constraints.count()).dry_run();
    }
    Ok(job)
}

fn statement(
    plan: &Plan,
    index: usize,
    prepared: &PreparedStatement,
    arguments: &[Option<Argument>],
) -> Result<Statement, Error> {
    let params = params(plan, index, prepared, arguments)?;
    let statement = Statement::new(prepared.sql.clone(), params);
    Ok(if prepared.is_kept {
        statement
    } else {
        statement.count()
    })
}

/// The values of a statement's parameters.
pub(super) fn params(
    plan: &Plan,
    index: usize,
    prepared: &PreparedStatement,
    arguments: &[Option<Argument>],
) -> Result<Params<'static>, Error> {
    let uses = &plan.statements[index].assembled.uses;
    let bound = uses.iter().zip(&prepared.types).map(|(used, to)| {
        let name = &plan.source.parameters[*used].name;
        let position = plan.parameters.iter().position(|p| p.name == *name);
        let argument = position.and_then(|at| arguments[at].as_ref());
        let Some(argument) = argument else {
            let why = format!("argument `{name}` is missing: wanted {}", to.name());
            return Err(Error::invalid_argument(why));
        };
        let fault =
            |mismatch| Error::invalid_argument(format_args!("argument `{name}`: {mismatch}"));
        argument.bind(to).map_err(fault)
    });
    bound.collect()
}

impl Returns {
    /// Whether the rows themselves are wanted.
    pub(super) fn is_of_rows(self) -> bool {
        !matches!(self, Self::Count | Self::None)
    }
}
