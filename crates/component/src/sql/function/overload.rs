//! Owns one function of those that have a name in common: its options, and a statement for each set of
//! arguments that calls give it. Must not know which calls mean it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use wamp::Uri;

use super::{
    super::{
        super::did_you_mean::did_you_mean,
        catalogue::{Routine, Volatility},
        databases::Databases,
        options::{Options, ParamOption, Returns, Written},
        procedure::{
            BATCH_OF_NO_STREAM, BEFORE_WITHOUT_IDENTITY, InputDescription, Plan, Procedure,
            ProcedureDescription,
        },
        text::{Fault, Place, Source, of_comment},
    },
    input::{Input, name_of},
    settings::hoisted,
    statement::{Form, statement},
};

/// The most inputs that a function has; PostgreSQL's `FUNC_MAX_ARGS` is 100 where nobody has built it
/// otherwise.
const MOST_INPUTS: usize = 128;
/// How many sets of arguments have a statement that is kept. One beyond them is prepared for each
/// call.
const MOST_KEPT: usize = 64;

/// A function or a procedure, with what is said about it.
pub(in crate::sql) struct Overload {
    pub(super) routine: Routine,
    pub(in crate::sql) options: Options,
    pub(super) inputs: Vec<Input>,
    form: Form,
    /// By the inputs that are given, a bit for each.
    calls: RwLock<HashMap<u128, Arc<Procedure>>>,
}

impl Overload {
    /// A function with the options of the configuration for it, and for all.
    pub(in crate::sql) fn new(
        routine: &Routine,
        written: &Options,
        defaults: &Options,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let own = of_comment_of(routine, &mut faults);
        let fault = |why| Fault::new(place_of(routine), why);
        let form = Form::of(routine);
        let hoisted = hoisted(&routine.settings).unwrap_or_else(|why| {
            faults.push(fault(why));
            Options::default()
        });
        let is_read_only = (routine.volatility != Volatility::Volatile).then_some(true);
        let of_function = Options {
            read_only: hoisted.read_only.or(is_read_only),
            returns: Some(form.returns(routine)),
            ..hoisted
        };
        if written.max_affected.is_some() || own.max_affected.is_some() {
            let why = "`max_affected` cannot be kept: what a function changes is not counted";
            faults.push(fault(why.to_owned()));
        }
        let mut options = written.clone().or(&own).or(&of_function);
        let has_batch = options.batch.is_some();
        let has_before = options.before.is_some();
        options = options.or(defaults);
        if options.identity == Some(false) {
            if has_before {
                faults.push(fault(BEFORE_WITHOUT_IDENTITY.to_owned()));
            }
            options.before = None;
        }
        if options.returns != Some(Returns::Stream) {
            if has_batch {
                faults.push(fault(BATCH_OF_NO_STREAM.to_owned()));
            }
            options.batch = None;
        }
        let inputs = match Input::all(routine, &options, fault) {
            Ok(inputs) => inputs,
            Err(others) => {
                faults.extend(others);
                Vec::new()
            }
        };
        if inputs.len() > MOST_INPUTS {
            faults.push(fault(format!("it has more than {MOST_INPUTS} parameters")));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let this = Self {
            routine: routine.clone(),
            options,
            inputs,
            form,
            calls: RwLock::default(),
        };
        // The plan of any call is like that of one with all.
        this.plan(this.all_inputs())?;
        Ok(this)
    }

    /// Whether it is the same as another one in all that is written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.routine == other.routine && self.options == other.options
    }

    /// Its name and what it takes, as COMMENT ON and GRANT call it.
    pub(in crate::sql) fn signature(&self) -> String {
        self.routine.signature()
    }

    /// Its name and what calls can give it, for whoever calls it.
    pub(super) fn told(&self) -> String {
        let inputs: Vec<_> = self.inputs.iter().map(Input::told).collect();
        format!("{}({})", self.routine.name, inputs.join(", "))
    }

    /// A description of its call with all inputs as one of the function itself.
    pub(super) fn told_of(&self, call: ProcedureDescription) -> ProcedureDescription {
        let inputs = self.inputs.iter().map(|input| InputDescription {
            name: &input.name,
            is_optional: input.is_optional(),
            is_variadic: input.is_variadic,
            default: input.default.as_ref(),
        });
        call.of_function(inputs, self.takes_all())
    }

    /// What calls name its inputs.
    pub(in crate::sql) fn input_names(&self) -> impl Iterator<Item = String> {
        self.inputs.iter().map(|input| input.name.clone())
    }

    /// Whether no call can tell it from the other: their arguments have the same names, in the same
    /// order.
    pub(in crate::sql) fn is_like(&self, other: &Self) -> bool {
        let is_variadic = |of: &Self| of.inputs.last().is_some_and(|last| last.is_variadic);
        self.takes_all() == other.takes_all()
            && is_variadic(self) == is_variadic(other)
            && self.input_names().eq(other.input_names())
    }

    /// That it is like another.
    pub(in crate::sql) fn unlike(&self, other: &Self) -> Fault {
        let other = other.signature();
        let why =
            format!("no call can tell it from {other}: give their arguments names of their own");
        Fault::new(place_of(&self.routine), why)
    }

    /// Whether it is one unnamed parameter of JSON, which takes all keyword arguments.
    pub(super) fn takes_all(&self) -> bool {
        let mut parameters = self.routine.inputs();
        match (parameters.next(), parameters.next()) {
            (Some((only, _)), None) => {
                let is_json = ["pg_catalog.json", "pg_catalog.jsonb"].contains(&&*only.r#type);
                only.name.is_none() && is_json
            }
            _ => false,
        }
    }

    /// All inputs, a bit for each.
    pub(super) fn all_inputs(&self) -> u128 {
        (0..self.inputs.len()).fold(0, |all, at| all | (1 << at))
    }

    /// What calls it with these inputs, the first one the lowest bit.
    pub(super) fn procedure(
        &self,
        uri: &Uri,
        databases: &Databases,
        given: u128,
    ) -> Result<Arc<Procedure>, Vec<Fault>> {
        let calls = self.calls.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(procedure) = calls.get(&given) {
            return Ok(procedure.clone());
        }
        drop(calls);
        let procedure = databases.procedure(uri.clone(), self.plan(given)?);
        let mut calls = self.calls.write().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= MOST_KEPT {
            return Ok(procedure);
        }
        // Somebody else may have made it meanwhile.
        Ok(calls.entry(given).or_insert(procedure).clone())
    }

    fn plan(&self, given: u128) -> Result<Plan, Vec<Fault>> {
        let Self { routine, form, .. } = self;
        let inputs = self.inputs.iter().enumerate();
        let names = inputs.filter(|(at, _)| given & (1 << at) != 0);
        let names = names.map(|(_, input)| input.name.clone());
        let text = statement(routine, *form, &self.inputs, given);
        let source = Source::made(&routine.signature(), &text, form.verb(routine), names)?;
        // What they say of parameters is in the text.
        let options = Options {
            params: Vec::new(),
            ..self.options.clone()
        };
        Plan::new(source, options, &Options::default())
    }
}

/// Where the faults of a function are.
fn place_of(routine: &Routine) -> Place {
    Place::of(&routine.signature().into())
}

/// What the comment of a function says.
fn of_comment_of(routine: &Routine, faults: &mut Vec<Fault>) -> Options {
    let mut options = Options::default();
    let label = format!("COMMENT ON {} {}", routine.noun(), routine.signature());
    let comment = routine.comment.as_deref().unwrap_or_default();
    let (description, written) = of_comment(&label.into(), comment);
    for option in written {
        if ["result", "skip"].contains(&&*option.key) {
            let why = format!("`@{}` is for the statements of a file", option.key);
            faults.push(Fault::new(option.place, why));
            continue;
        }
        let taken = options.take(&option.place, &option.key, Written::Text(&option.value));
        faults.extend(taken.err());
    }
    let inputs = routine.inputs().enumerate();
    let names: Vec<_> = inputs.map(|(at, (input, _))| name_of(at, input)).collect();
    for said in options
        .params
        .iter()
        .filter(|said| !names.contains(&said.name))
    {
        faults.push(no_such(said, &names));
    }
    if options.single == Some(true) {
        options.returns.get_or_insert(Returns::Row);
    }
    options.description = Some(description).filter(|text| !text.is_empty());
    options
}

/// An option is about a parameter that no function has of those that it is for.
pub(in crate::sql) fn no_such(said: &ParamOption, names: &[String]) -> Fault {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let meant = did_you_mean(&said.name, &names);
    let has = match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let why = format!(
        "there is no parameter `{}`{meant}; it has: {has}",
        said.name
    );
    Fault::new(said.place.clone(), why)
}
