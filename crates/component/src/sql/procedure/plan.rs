//! Owns what is known of a procedure without a database: its statements, its parameters and its
//! options, each fault with its place. Must not know PostgreSQL's types.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use sql::{Settings, Sql};

use super::super::{
    super::did_you_mean::did_you_mean,
    identity::Told,
    options::{BATCH, MAX_BYTES, MAX_ROWS, Options, Returns, Written},
    text::{Assembled, Fault, Source, Statement},
    types::{Argument, Forms, Int8Form, NumericForm},
};

/// A procedure as it is written.
#[derive(Debug)]
pub(in crate::sql) struct Plan {
    pub(super) source: Source,
    pub(in crate::sql) options: Options,
    /// In the order of positional arguments.
    pub(super) parameters: Vec<Parameter>,
    pub(super) statements: Vec<Planned>,
    /// What its transactions are told.
    pub(in crate::sql) told: Told,
    pub(super) forms: Forms,
    pub(super) retry: u64,
    pub(super) max_rows: u64,
    pub(super) max_bytes: u64,
    /// How many rows a part of a stream has.
    pub(super) batch: NonZeroU32,
    pub(super) is_secret: bool,
}

/// A parameter of a procedure.
#[derive(Debug)]
pub(super) struct Parameter {
    /// What it is called: `price`, `$1`.
    pub(super) name: String,
    /// Its value where a call has none.
    pub(super) default: Option<Argument>,
}

/// A statement of a procedure.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) assembled: Assembled,
    pub(super) sql: Sql,
    /// What is said about its result.
    pub(super) returns: Option<Returns>,
    /// The name of its result.
    pub(super) result: Option<Arc<str>>,
    /// Its result is left out.
    pub(super) is_skipped: bool,
}

impl Plan {
    /// What a source and the options around it come to; `options` are what the configuration says of
    /// this procedure, `defaults` what it says of all.
    pub(in crate::sql) fn new(
        source: Source,
        options: Options,
        defaults: &Options,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut own = Options::default();
        for option in &source.options {
            let written = Written::Text(&option.value);
            faults.extend(own.take(&option.place, &option.key, written).err());
        }
        if options.returns.is_some() && source.statements.len() > 1 {
            let why = "there are several statements: say `-- @returns` before each that it is for";
            faults.push(Fault::new(source.place(), why));
        }
        let options = options.or(&own);
        let has_batch = options.batch.is_some();
        let before = options.before.as_ref().map(|before| before.place.clone());
        let options = options.or(defaults);
        if let (Some(false), Some(place)) = (options.identity, before) {
            faults.push(Fault::new(place, BEFORE_WITHOUT_IDENTITY));
        }
        let parameters = parameters(&source, &options, &mut faults);
        let statements = (source.statements.iter())
            .map(|statement| planned(&source, statement, &options, &mut faults))
            .collect::<Vec<_>>();
        check_names(&source, &statements, &mut faults);
        check_stream(&source, &statements, &options, has_batch)
            .into_iter()
            .for_each(|why| faults.push(Fault::new(source.place(), why)));
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            told: told(&options),
            forms: forms(&options),
            retry: options.retry.unwrap_or(0),
            max_rows: options.max_rows.unwrap_or(MAX_ROWS),
            max_bytes: options.max_bytes.unwrap_or(MAX_BYTES),
            batch: options.batch.unwrap_or(BATCH),
            is_secret: options.secret.unwrap_or(false),
            source,
            options,
            parameters,
            statements,
        })
    }

    /// Whether it is the same as another one in all that is written.
    pub(in crate::sql) fn is_same(&self, other: &Self) -> bool {
        self.source.is_same(&other.source) && self.options == other.options
    }

    /// What the procedure does, for people.
    pub(in crate::sql) fn description(&self) -> &str {
        let said = self.options.description.as_deref();
        said.unwrap_or(&self.source.description)
    }

    /// The names of its parameters, for people.
    pub(in crate::sql) fn takes(&self) -> String {
        match self.parameters.as_slice() {
            [] => "none".to_owned(),
            parameters => {
                let names: Vec<_> = parameters.iter().map(|p| &*p.name).collect();
                names.join(", ")
            }
        }
    }

    /// Whether its rows go in parts to a caller that takes them.
    pub(in crate::sql) fn is_stream(&self) -> bool {
        self.statements[0].returns == Some(Returns::Stream)
    }

    /// Whether the answer is an object of named results.
    pub(super) fn is_named(&self) -> bool {
        self.statements
            .iter()
            .any(|planned| planned.result.is_some())
    }

    /// Whether the answer has the result of a statement in it: those with a name where there are
    /// any, else the last one.
    pub(super) fn is_answer(&self, index: usize) -> bool {
        if self.is_named() {
            return self.statements[index].result.is_some();
        }
        let last = self
            .statements
            .iter()
            .rposition(|planned| !planned.is_skipped);
        last == Some(index)
    }
}

/// The parameters of the source with what the options say of them.
fn parameters(source: &Source, options: &Options, faults: &mut Vec<Fault>) -> Vec<Parameter> {
    let names: Vec<_> = source.parameters.iter().map(|p| p.name.as_str()).collect();
    for said in &options.params {
        let name = said.name.as_str();
        if !names.contains(&name) {
            let has = match names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            let meant = did_you_mean(name, &names);
            let why = format!("there is no parameter `{name}` in the SQL{meant}; it has: {has}");
            faults.push(Fault::new(said.place.clone(), why));
        }
    }
    let parameter = |parameter: &&super::super::text::Parameter| {
        let said = options
            .params
            .iter()
            .find(|said| said.name == parameter.name);
        let default = said.and_then(|said| said.default.as_ref());
        let default = default.or(parameter.default.as_ref());
        let default = default.map(|json| Argument::from_json(json));
        Parameter {
            name: parameter.name.clone(),
            default: default.and_then(|default| match default {
                Ok(default) => Some(default),
                Err(error) => {
                    let why = format!("the default of `{}`: {error}", parameter.name);
                    faults.push(Fault::new(source.place_of(parameter), why));
                    None
                }
            }),
        }
    };
    source.ordered_parameters().iter().map(parameter).collect()
}

fn planned(
    source: &Source,
    statement: &Statement,
    options: &Options,
    faults: &mut Vec<Fault>,
) -> Planned {
    let mut own = Options::default();
    for option in &statement.options {
        let written = Written::Text(&option.value);
        faults.extend(own.take(&option.place, &option.key, written).err());
    }
    let type_of = |index: usize| {
        let name = &source.parameters[index].name;
        let said = options.params.iter().find(|said| said.name == *name)?;
        said.r#type.as_deref()
    };
    let assembled = source.assemble(statement, type_of);
    let is_single = own.single.unwrap_or(false);
    let is_only = source.statements.len() == 1;
    Planned {
        sql: assembled.sql.clone().into(),
        assembled,
        returns: (own.returns)
            .or(is_single.then_some(Returns::Row))
            .or(options.returns.filter(|_| is_only)),
        result: own.result.map(Into::into),
        is_skipped: own.skip.unwrap_or(false),
    }
}

/// Checks that results have names of their own, and that those of a configuration's `returns` mean
/// one statement.
fn check_names(source: &Source, statements: &[Planned], faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (statement, planned) in source.statements.iter().zip(statements) {
        if let Some(name) = &planned.result
            && !seen.insert(name)
        {
            let place = source.locate(statement, &planned.assembled, None);
            let why = format!("there are two results with the name `{name}`");
            faults.push(Fault::new(place, why));
        }
    }
}

/// That a procedure has an option which needs another.
pub(in crate::sql) const BEFORE_WITHOUT_IDENTITY: &str =
    "`before` is for procedures that have the identity of their callers, and `identity` is false";

/// What its transactions are told, whoever calls.
fn told(options: &Options) -> Told {
    let has_identity = options.identity.unwrap_or(true);
    let before = options.before.as_ref().filter(|_| has_identity);
    Told {
        settings: settings(options),
        has_identity,
        // It is to give nothing, and so nobody need look at what it gives.
        before: before.map(|before| format!("SELECT {}()::pg_catalog.void", before.name).into()),
    }
}

/// That a procedure has an option which is for others.
pub(in crate::sql) const BATCH_OF_NO_STREAM: &str =
    "`batch` is for a procedure with `returns stream`, and this one has none";

/// What keeps a procedure from being streamed that is to be.
fn check_stream(
    source: &Source,
    statements: &[Planned],
    options: &Options,
    has_batch: bool,
) -> Option<&'static str> {
    let is_stream = |planned: &&Planned| planned.returns == Some(Returns::Stream);
    let Some(stream) = statements.iter().find(is_stream) else {
        return has_batch.then_some(BATCH_OF_NO_STREAM);
    };
    if source.statements.len() > 1 {
        Some("`returns stream` is for a procedure of one statement, and there are several")
    } else if stream.result.is_some() || stream.is_skipped {
        Some("`@result` and `@skip` do not go with `returns stream`: its parts are lists of rows")
    } else if options.dry_run == Some(true) {
        Some("`dry_run` does not go with `returns stream`: say `dry_run false` here")
    } else {
        None
    }
}

fn settings(options: &Options) -> Settings {
    let mut settings = Settings::new();
    if let Some(timeout) = options.timeout {
        settings = settings.statement_timeout(timeout);
    }
    if let Some(read_only) = options.read_only {
        settings = settings.read_only(read_only);
    }
    if let Some(isolation) = options.isolation {
        settings = settings.isolation(isolation);
    }
    if options.secret == Some(true) {
        // Notices would be logged, and may repeat values.
        settings = settings.set("client_min_messages", "error");
    }
    settings
}

fn forms(options: &Options) -> Forms {
    let mut forms = Forms::default();
    if let Some(form) = options.int8.as_deref().and_then(Int8Form::from_name) {
        forms.int8 = form;
    }
    if let Some(form) = options.numeric.as_deref().and_then(NumericForm::from_name) {
        forms.numeric = form;
    }
    forms
}
