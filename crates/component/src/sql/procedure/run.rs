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
    Procedure, Unprepared,
    answer::Answered,
    guard,
    plan::Plan,
    prepare::{Prepared, PreparedStatement},
    relay::Relay,
};

/// Runs a procedure. Does not block.
pub(super) fn once(
    procedure: &Arc<Procedure>,
    prepared: &Arc<Prepared>,
    settings: Settings,
    arguments: &[Option<Argument>],
) -> Result<Deferred<Answered>, Error> {
    let job = job(&procedure.plan, prepared, settings, arguments)?;
    let answer = Answered::maker(&procedure.plan, prepared);
    let this = procedure.clone();
    let results = procedure.callers.db().submit(job);
    Ok(results.map_result(move |result| match result {
        Ok(results) => answer(results),
        Err(error) => Err(told(error, &this)),
    }))
}

/// A call whose procedure is prepared first if it is not, which waits for the roles if they are not
/// known, and which is run again as often as its `retry` says.
pub(super) struct Careful {
    pub(super) procedure: Arc<Procedure>,
    pub(super) prepared: Option<Arc<Prepared>>,
    pub(super) settings: Option<Settings>,
    pub(super) caller: Option<Arc<Identity>>,
    pub(super) arguments: Vec<Option<Argument>>,
}

impl Careful {
    /// Does not block.
    pub(super) fn start(self) -> Deferred<Answered> {
        let (relay, deferred) = Relay::new();
        self.go_on(relay);
        deferred
    }

    /// Gets what is lacking, one after the other.
    fn go_on(self, relay: Relay<Answered>) {
        match self {
            Self { settings: None, .. } => self.read_roles(relay),
            Self { prepared: None, .. } => self.prepare(relay),
            Self {
                procedure,
                prepared: Some(prepared),
                settings: Some(settings),
                arguments,
                ..
            } => {
                let left = procedure.plan.retry;
                let attempt = Attempt {
                    procedure,
                    prepared,
                    settings,
                    arguments,
                    left,
                };
                attempt.run(relay);
            }
        }
    }

    fn read_roles(mut self, relay: Relay<Answered>) {
        let procedure = self.procedure.clone();
        procedure.callers.clone().read(move |result| {
            let Procedure {
                callers, plan, uri, ..
            } = &*procedure;
            let caller = self.caller.as_deref();
            match result.and_then(|()| callers.settings(&plan.told, uri, caller)) {
                Ok(None) => {
                    let why = "the roles of the database could not be read in time";
                    relay.resolve(Err(Error::new(error_uri::UNAVAILABLE, why)));
                }
                Ok(settings) => {
                    self.settings = settings;
                    self.go_on(relay);
                }
                Err(error) => relay.resolve(Err(error)),
            }
        });
    }

    fn prepare(mut self, relay: Relay<Answered>) {
        self.procedure.clone().prepare(move |result| match result {
            Ok(prepared) => {
                self.prepared = Some(prepared);
                self.go_on(relay);
            }
            Err(Unprepared::Faulty(_, error) | Unprepared::Unavailable(error)) => {
                relay.resolve(Err(error));
            }
        });
    }
}

/// A call that has all that it needs, and how often it may still be run again.
struct Attempt {
    procedure: Arc<Procedure>,
    prepared: Arc<Prepared>,
    settings: Settings,
    arguments: Vec<Option<Argument>>,
    left: u64,
}

impl Attempt {
    fn run(mut self, relay: Relay<Answered>) {
        let Procedure { callers, plan, .. } = &*self.procedure;
        let job = match job(plan, &self.prepared, self.settings.clone(), &self.arguments) {
            Ok(job) => job,
            Err(error) => {
                self.procedure.forget();
                return relay.resolve(Err(error));
            }
        };
        if relay.is_over() {
            return;
        }
        let job = callers.db().submit(job);
        relay.interrupts(job.cancel_handle());
        job.on_result(move |result| match result {
            Err(error) if self.left > 0 && is_worth_another_try(&error) => {
                self.left -= 1;
                self.run(relay);
            }
            Err(error) => relay.resolve(Err(told(error, &self.procedure))),
            Ok(results) => {
                let answer = Answered::maker(&self.procedure.plan, &self.prepared);
                relay.resolve(answer(results));
            }
        });
    }
}

/// An error as the caller is told it: PostgreSQL likes to repeat the values that it refuses.
///
/// After one that says that tables or types have become others, the procedure is prepared again.
fn told(error: sql::Error, procedure: &Procedure) -> Error {
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
    let told = Error::from(error);
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
fn is_worth_another_try(error: &sql::Error) -> bool {
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
    let params: Params<'static> = bound.collect::<Result<_, _>>()?;
    let statement = Statement::new(prepared.sql.clone(), params);
    let is_kept = prepared.is_kept;
    Ok(if is_kept {
        statement
    } else {
        statement.count()
    })
}

impl Returns {
    /// Whether the rows themselves are wanted.
    pub(super) fn is_of_rows(self) -> bool {
        matches!(self, Self::Rows | Self::Arrays | Self::Row | Self::Value)
    }
}
