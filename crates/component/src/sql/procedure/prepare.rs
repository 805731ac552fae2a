//! Owns what PostgreSQL says of a procedure's statements: the types of their parameters, whether they
//! give rows. Must not run any of them.

mod before;

use std::sync::Arc;

use sql::{Description, ErrorKind, Sql, types::Type};

use super::{
    super::{
        super::Error,
        options::Returns,
        text::{Assembled, Fault},
        types::as_text,
    },
    Procedure, Unprepared,
    answer::Part,
    guard,
    plan::Planned,
};

/// A procedure that PostgreSQL has described.
#[derive(Debug)]
pub(in crate::sql) struct Prepared {
    /// In the order of the plan's.
    pub(super) statements: Vec<PreparedStatement>,
    /// What its answer has in it.
    pub(super) shape: Arc<[Part]>,
    /// How often the types of parameters or columns have become others.
    changes: u64,
}

impl Prepared {
    /// As it is to run after `before`. Where the types of parameters or the columns have become others,
    /// its text becomes another too: connections have statements of the old one, which keep the old
    /// types, and fail for other columns.
    pub(super) fn after(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        let described = |prepared: &Self| -> Vec<_> {
            let statements = prepared.statements.iter();
            statements
                .map(|statement| (statement.types.clone(), statement.columns.clone()))
                .collect()
        };
        self.changes = before.changes + u64::from(described(&self) != described(before));
        if self.changes > 0 {
            let changes = self.changes;
            let other = |sql: &Sql| Sql::from(format!("{} /* {changes} */", &**sql));
            for statement in &mut self.statements {
                statement.sql = other(&statement.sql);
                statement.streamed = statement.streamed.as_ref().map(other);
            }
        }
        self
    }
}

/// A statement that PostgreSQL has described.
#[derive(Debug)]
pub(super) struct PreparedStatement {
    /// Its text, perhaps with casts of columns that are to come as text.
    pub(super) sql: Sql,
    /// The same without the limits of a result that is held as a whole, if it is to be streamed.
    pub(super) streamed: Option<Sql>,
    /// The types of its parameters, `$1` first.
    pub(super) types: Vec<Type>,
    /// The names and types of its columns.
    pub(super) columns: Vec<(String, Type)>,
    /// What its result is made into.
    pub(super) returns: Returns,
    /// Whether its rows themselves are in the answer.
    pub(super) is_kept: bool,
}

type Then = Box<dyn FnOnce(Result<Prepared, Unprepared>) + Send>;

/// Describes all statements of a procedure, one after the other.
pub(super) fn describe_all(
    procedure: Arc<Procedure>,
    then: impl FnOnce(Result<Prepared, Unprepared>) + Send + 'static,
) {
    let begun = Describing {
        procedure,
        done: Vec::new(),
        faults: Vec::new(),
        before: None,
        error: None,
        then: Box::new(then),
    };
    begun.check_before();
}

/// How far the description of a procedure has come.
struct Describing {
    procedure: Arc<Procedure>,
    /// Of the statements before; those with a fault are left out.
    done: Vec<PreparedStatement>,
    faults: Vec<Fault>,
    /// Of the function that runs before them.
    before: Option<Fault>,
    /// What a caller is told: the first error.
    error: Option<Error>,
    then: Then,
}

impl Describing {
    fn describe(&self, sql: Sql) -> sql::Deferred<Description> {
        let Procedure { callers, plan, .. } = &*self.procedure;
        callers.describe(&plan.told, sql)
    }

    /// Describes the statement that is next, or ends.
    fn next(self) {
        let index = self.done.len() + self.faults.len();
        let Some(planned) = self.procedure.plan.statements.get(index) else {
            return self.end();
        };
        let described = self.describe(planned.sql.clone());
        described.on_result(move |result| match result {
            Ok(description) => self.described(index, description),
            Err(error) if is_fault(&error) => {
                let fault = self.fault(index, &error);
                let error = self.procedure.error(error);
                self.failed(fault, error);
            }
            Err(error) => self.unavailable(error),
        });
    }

    fn unavailable(self, error: sql::Error) {
        let error = self.procedure.error(error);
        (self.then)(Err(Unprepared::Unavailable(error)));
    }

    /// Takes a description, after looking for a way to have all of its columns.
    fn described(self, index: usize, description: Description) {
        let planned = &self.procedure.plan.statements[index];
        if returns(planned, &description).is_of_rows() {
            let candidates = as_text(&planned.sql, &description);
            if !candidates.is_empty() {
                let candidates = candidates.into_iter().map(Sql::from).collect();
                return self.try_text(index, description, candidates);
            }
        }
        let sql = planned.sql.clone();
        self.guard(index, sql, description);
    }

    /// Tries the statements in their order that give some columns as text.
    fn try_text(self, index: usize, first: Description, mut candidates: Vec<Sql>) {
        if candidates.is_empty() {
            let column = first.columns.iter().find(|(name, of)| {
                let column = (name.clone(), of.clone());
                let alone = Description {
                    params: Vec::new(),
                    columns: vec![column],
                };
                !as_text("SELECT 1", &alone).is_empty()
            });
            let column = column.map_or("a column", |(name, _)| name);
            let why =
                format!("the type of column `{column}` has to be cast in SQL: {column}::text");
            return self.refuse(index, why);
        }
        let sql = candidates.remove(0);
        let described = self.describe(sql.clone());
        described.on_result(move |result| match result {
            Ok(description) => {
                let columns = first.columns;
                let description = Description {
                    columns,
                    ..description
                };
                self.guard(index, sql, description);
            }
            Err(error) if is_fault(&error) => self.try_text(index, first, candidates),
            Err(error) => self.unavailable(error),
        });
    }

    /// Lets PostgreSQL keep the limits, where there is a way to say them.
    fn guard(self, index: usize, sql: Sql, description: Description) {
        let plan = &self.procedure.plan;
        let returns = returns(&plan.statements[index], &description);
        let verb = plan.source.statements[index].verb;
        let guarded = guard::guarded(plan, verb, &sql, &description, returns);
        let is_stream = returns == Returns::Stream;
        let streamed = is_stream.then(|| guard::streamed(plan, verb, &sql, &description));
        let Some((guarded, may_do_without)) = guarded else {
            return self.accept(index, (sql, streamed), description, returns);
        };
        let described = self.describe(guarded.clone());
        described.on_result(move |result| match result {
            Ok(_) => self.accept(index, (guarded, streamed), description, returns),
            Err(error) if is_fault(&error) && may_do_without => {
                self.accept(index, (sql, streamed), description, returns);
            }
            Err(error) if is_fault(&error) => {
                let why = format!("`max_affected` cannot be kept for this statement: {error}");
                self.refuse(index, why);
            }
            Err(error) => self.unavailable(error),
        });
    }

    /// Takes a statement as it is described.
    fn accept(
        mut self,
        index: usize,
        (sql, streamed): (Sql, Option<Sql>),
        description: Description,
        returns: Returns,
    ) {
        let columns = &description.columns;
        let wrong = match returns {
            _ if columns.is_empty() && returns.is_of_rows() => {
                Some("the statement gives no rows: `returns` can be `count` or `none`".to_owned())
            }
            Returns::Value | Returns::Values if columns.len() != 1 => {
                let count = columns.len();
                let word = if returns == Returns::Value {
                    "value"
                } else {
                    "values"
                };
                Some(format!(
                    "`returns {word}` is for one column, and the statement gives {count}"
                ))
            }
            Returns::Rows | Returns::Row | Returns::Stream => twice(&description).map(|name| {
                format!(
                    "two columns have the name `{name}`: give one another name with AS, or return \
                     `arrays`"
                )
            }),
            _ => None,
        };
        if let Some(why) = wrong {
            return self.refuse(index, why);
        }
        let plan = &self.procedure.plan;
        self.done.push(PreparedStatement {
            sql,
            streamed,
            types: description.params,
            columns: description.columns,
            is_kept: returns.is_of_rows() && plan.is_answer(index),
            returns,
        });
        self.next();
    }

    fn refuse(self, index: usize, why: String) {
        let plan = &self.procedure.plan;
        let assembled = &plan.statements[index].assembled;
        let place = plan
            .source
            .locate(&plan.source.statements[index], assembled, None);
        let error = Error::runtime(format_args!("the procedure has a fault: {why}"));
        self.failed(Fault::new(place, why), error);
    }

    fn failed(mut self, fault: Fault, error: Error) {
        self.faults.push(fault);
        self.error.get_or_insert(error);
        self.next();
    }

    /// What PostgreSQL has against a statement, where it says it is.
    fn fault(&self, index: usize, error: &sql::Error) -> Fault {
        let plan = &self.procedure.plan;
        let assembled = &plan.statements[index].assembled;
        let report = error.report();
        let position = report.and_then(|report| report.position);
        let statement = &plan.source.statements[index];
        let place = plan.source.locate(statement, assembled, position);
        let mut text =
            report.map_or_else(|| error.to_string(), |report| report.message.to_string());
        if let Some(hint) = report.and_then(|report| report.hint.as_deref()) {
            text = format!("{text}; {hint}");
        }
        if let Some(parameter) = indeterminate(error, assembled)
            && let Some(parameter) = plan.source.parameters.get(parameter)
        {
            let name = &parameter.name;
            let text = format!("{text}; say the type of `{name}` by `@param {name} type`");
            return Fault::new(plan.source.place_of(parameter), text);
        }
        Fault::new(place, text)
    }

    fn end(self) {
        let result = match self.error {
            None => Ok(Prepared {
                shape: Part::all(&self.procedure.plan, &self.done),
                changes: 0,
                statements: self.done,
            }),
            Some(error) => {
                let faults = self.before.into_iter().chain(self.faults);
                Err(Unprepared::Faulty(faults.collect(), error))
            }
        };
        (self.then)(result);
    }
}

/// The SQLSTATE of a parameter whose type PostgreSQL cannot know.
const INDETERMINATE: &str = "42P18";

/// Which parameter it is of which PostgreSQL cannot know the type. It tells the number in a sentence
/// alone, in whatever language.
fn indeterminate(error: &sql::Error, assembled: &Assembled) -> Option<usize> {
    let report = error.report()?;
    let (_, number) = report.message.split_once('$')?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    let number: usize = digits.parse().ok()?;
    let used = assembled.uses.get(number.checked_sub(1)?);
    used.copied().filter(|_| &*report.sqlstate == INDETERMINATE)
}

/// Whether it is the statement's fault, and not that of the connection or of the server's moment.
pub(super) fn is_fault(error: &sql::Error) -> bool {
    match error.kind() {
        // Class 53, 57, 58: no resources, an operator's intervention, the system.
        ErrorKind::Database => {
            let class = error.sqlstate().and_then(|state| state.get(..2));
            !matches!(class, Some("08" | "53" | "57" | "58"))
        }
        ErrorKind::Config | ErrorKind::Other | ErrorKind::Value => true,
        _ => false,
    }
}

/// What a statement's result is made into, which may depend on whether it gives rows.
fn returns(planned: &Planned, description: &Description) -> Returns {
    let without = if planned.is_skipped {
        Returns::None
    } else if description.columns.is_empty() {
        Returns::Count
    } else {
        Returns::Rows
    };
    planned.returns.unwrap_or(without)
}

/// A name that two columns have.
fn twice(description: &Description) -> Option<&str> {
    let columns = &description.columns;
    let names = columns.iter().map(|(name, _)| name.as_str());
    let again = |(at, name): &(usize, &str)| columns[..*at].iter().any(|(other, _)| other == name);
    names.enumerate().find(again).map(|(_, name)| name)
}
