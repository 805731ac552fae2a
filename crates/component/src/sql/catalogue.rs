//! Owns what PostgreSQL's catalogue says of the functions and procedures of schemas: one query. Must
//! not know what becomes of them.

use serde::Deserialize;
use sql::{Database, Deferred, Error, ErrorKind, Job, Results, Statement, params};

/// What there is in some schemas.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// In the order in which they were asked for.
    pub(super) schemas: Vec<Schema>,
    /// In the order of their schemas, names and ages.
    pub(super) routines: Vec<(String, Routine)>,
}

/// A schema that was asked for.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: String,
    /// Its name, as SQL writes it.
    pub(super) sql: String,
    /// The roles of callers, as SQL writes them.
    pub(super) role: String,
    pub(super) exists: bool,
    /// Whether one of the roles may use what is in it.
    pub(super) is_usable: bool,
    /// Those that there are, where this one is not.
    pub(super) others: Vec<String>,
}

/// A function or a procedure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Routine {
    pub(super) name: String,
    /// Its name with its schema, as SQL writes it.
    pub(super) sql: String,
    pub(super) kind: RoutineKind,
    pub(super) volatility: Volatility,
    pub(super) returns_set: bool,
    /// What it sets for itself: `name=value`.
    pub(super) settings: Vec<String>,
    pub(super) comment: Option<String>,
    /// Whether one of the roles of callers may execute it.
    pub(super) may_execute: bool,
    /// The extension that it is of.
    pub(super) extension: Option<String>,
    /// The type of its result, for people.
    pub(super) result: String,
    pub(super) result_kind: TypeKind,
    /// All of them, those of its result too.
    pub(super) parameters: Vec<Parameter>,
    /// How many of the last ones that take something have a default.
    pub(super) defaults: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum RoutineKind {
    #[serde(rename = "f")]
    Function,
    #[serde(rename = "p")]
    Procedure,
    #[serde(rename = "a")]
    Aggregate,
    #[serde(rename = "w")]
    Window,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Volatility {
    #[serde(rename = "i")]
    Immutable,
    #[serde(rename = "s")]
    Stable,
    #[serde(rename = "v")]
    Volatile,
}

/// What kind of type it is; of a domain, that of the type it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum TypeKind {
    #[serde(rename = "c")]
    Composite,
    #[serde(rename = "p")]
    Pseudo,
    #[serde(rename = "b", alias = "e", alias = "r", alias = "m")]
    Other,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: Option<String>,
    /// Its name as SQL writes it.
    pub(super) quoted: Option<String>,
    pub(super) mode: Mode,
    /// Its type with the schema, as SQL writes it.
    pub(super) r#type: String,
    /// Its type, for people.
    pub(super) shown: String,
    /// Whether its type is none that a value can have: `anyelement`, `internal`.
    pub(super) is_pseudo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Mode {
    #[serde(rename = "i")]
    In,
    #[serde(rename = "o")]
    Out,
    #[serde(rename = "b")]
    InOut,
    #[serde(rename = "v")]
    Variadic,
    /// A column of RETURNS TABLE.
    #[serde(rename = "t")]
    Table,
}

impl Mode {
    /// Whether a call gives a value for it.
    pub(super) fn takes(self) -> bool {
        matches!(self, Self::In | Self::InOut | Self::Variadic)
    }

    /// Whether the result has a value of it.
    pub(super) fn gives(self) -> bool {
        matches!(self, Self::Out | Self::InOut | Self::Table)
    }
}

/// What the query gives for each function, and for a schema without any.
#[derive(Deserialize)]
struct Found {
    schema: String,
    schema_sql: String,
    role: String,
    exists: bool,
    usage: Option<bool>,
    others: Option<Vec<String>>,
    routine: Option<Routine>,
}

const QUERY: &str = include_str!("catalogue/query.sql");
/// More functions than anybody means to make procedures of.
const MOST: i64 = 10_000;

/// Reads the catalogue of the database about these schemas, for callers with one of these roles; `None`
/// is the login. Does not block.
pub(super) fn read(
    db: &dyn Database,
    schemas: &[String],
    roles: Vec<Option<String>>,
) -> Deferred<Catalogue> {
    let params = params![schemas.to_vec(), MOST + 1, roles];
    let results = db.submit(Job::new(Statement::new(QUERY, params)));
    results.and_then(|results| Catalogue::of(&results))
}

impl Catalogue {
    fn of(results: &Results) -> Result<Self, Error> {
        let rows = &results.first;
        if rows.len() as i64 > MOST {
            let why = format!("the schemas have more than {MOST} functions: take some away");
            return Err(Error::new(ErrorKind::Other, why));
        }
        let mut this = Self::default();
        for row in rows.iter() {
            let found: Found = serde_json::from_str(row.get(0)?)
                .map_err(|error| Error::new(ErrorKind::Other, format!("the catalogue: {error}")))?;
            if let Some(routine) = found.routine {
                this.routines.push((found.schema.clone(), routine));
            }
            if this
                .schemas
                .last()
                .is_none_or(|last| last.name != found.schema)
            {
                this.schemas.push(Schema {
                    name: found.schema,
                    sql: found.schema_sql,
                    role: found.role,
                    exists: found.exists,
                    is_usable: found.usage.unwrap_or(false),
                    others: found.others.unwrap_or_default(),
                });
            }
        }
        Ok(this)
    }
}

impl Routine {
    /// The parameters for which a call gives values, each with whether it has a default.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&Parameter, bool)> {
        let inputs = self.parameters.iter().filter(|of| of.mode.takes());
        let required = inputs.clone().count().saturating_sub(self.defaults);
        inputs
            .enumerate()
            .map(move |(at, parameter)| (parameter, at >= required))
    }

    /// The parameters of which the result has values.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|of| of.mode.gives())
    }

    /// Its name and what it takes, as COMMENT ON and GRANT call it.
    pub(super) fn signature(&self) -> String {
        let inputs: Vec<_> = self.inputs().map(|(input, _)| input.signature()).collect();
        format!("{}({})", self.sql, inputs.join(", "))
    }

    /// FUNCTION or PROCEDURE.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            RoutineKind::Procedure => "PROCEDURE",
            _ => "FUNCTION",
        }
    }
}

impl Parameter {
    fn signature(&self) -> String {
        let mode = (self.mode == Mode::Variadic).then_some("VARIADIC");
        let words = [mode, self.quoted.as_deref(), Some(&self.shown)];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
