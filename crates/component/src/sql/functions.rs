//! Owns which procedures the functions of schemas become, and why others do not. Must not know how the
//! catalogue is read, nor how procedures are registered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wamp::Uri;

use super::{
    super::did_you_mean::did_you_mean,
    catalogue::{Catalogue, Routine, RoutineKind, Schema, TypeKind},
    databases::Databases,
    function::{Function, Overload, no_such},
    options::Options,
    text::{Fault, Place},
};

/// What is said of the functions of schemas, before any is known.
#[derive(Clone, Debug, Default)]
pub(super) struct FunctionOptions {
    /// The schemas, in their order.
    pub(super) schemas: Vec<String>,
    /// What each URI begins with.
    pub(super) prefix: String,
    /// What holds for all.
    pub(super) defaults: Options,
    /// What the configuration says of procedures that it has no SQL for, by their URIs.
    pub(super) written: BTreeMap<String, Options>,
    /// The URIs that are procedures of files or of the configuration.
    pub(super) taken: BTreeSet<String>,
}

/// What the functions of schemas come to.
#[derive(Default)]
pub(super) struct Functions {
    /// By their URIs.
    pub(super) all: BTreeMap<String, Arc<Function>>,
    pub(super) faults: Vec<Fault>,
    /// The URIs that have a fault and are not in `all` for it.
    pub(super) faulty: BTreeSet<String>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A function that is no procedure, and is not to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) signature: String,
    pub(super) why: String,
    /// Whether the role lacks the right, which somebody may have wanted it to have.
    pub(super) is_forbidden: bool,
}

impl Functions {
    pub(super) fn new(
        catalogue: &Catalogue,
        options: &FunctionOptions,
        databases: &Arc<Databases>,
    ) -> Self {
        let mut this = Self::default();
        for schema in &catalogue.schemas {
            this.faults.extend(fault_of(schema));
        }
        let usable = |name: &str| {
            let mut schemas = catalogue.schemas.iter();
            schemas.find(|schema| schema.name == name && schema.is_usable)
        };
        let mut seen = BTreeSet::new();
        let is_alike =
            |a: &(String, Routine), b: &(String, Routine)| (&a.0, &a.1.name) == (&b.0, &b.1.name);
        for routines in catalogue.routines.chunk_by(is_alike) {
            let (schema, first) = &routines[0];
            let Some(schema) = usable(schema) else {
                continue;
            };
            let uri = options.uri(&first.name);
            let routines = routines.iter().map(|(_, routine)| routine);
            let (served, left_out): (Vec<_>, Vec<_>) =
                routines.partition(|routine| left_out(routine, schema).is_none());
            this.left_out
                .extend(left_out.iter().filter_map(|of| self::left_out(of, schema)));
            if !served.is_empty() {
                this.define(&uri, &served, options, databases);
            }
            seen.insert(uri);
        }
        for uri in options.written.keys().filter(|uri| !seen.contains(*uri)) {
            let place = Place::of(&format!("extra.procedures[{uri:?}]").into());
            let why = "has no `sql`, and there is no file and no function of this name";
            this.faults.push(Fault::new(place, why));
        }
        this
    }

    /// Makes a procedure of the functions of one name.
    fn define(
        &mut self,
        uri: &str,
        routines: &[&Routine],
        options: &FunctionOptions,
        databases: &Arc<Databases>,
    ) {
        let place = Place::of(&routines[0].sql.as_str().into());
        let is_uri = Uri::from(uri).is_loose() && !Uri::from(uri).is_too_long();
        let why = if !is_uri {
            format!("{uri:?} is no URI of a procedure: give the function another name")
        } else if options.taken.contains(uri) {
            format!("the procedure {uri} is there already, with SQL of its own: rename one of them")
        } else if let Some(other) = self.all.get(uri) {
            let other = other.overloads[0].signature();
            format!(
                "the procedure {uri} is there already, from {other}: rename one of them, or give \
                 the schemas components and prefixes of their own"
            )
        } else {
            let nothing = Options::default();
            let written = options.written.get(uri).unwrap_or(&nothing);
            let overloads = self.overloads(routines, written, &options.defaults, databases);
            if overloads.is_empty() {
                self.faulty.insert(uri.to_owned());
            } else {
                let function = Function::new(uri.into(), overloads, databases.clone());
                self.all.insert(uri.to_owned(), Arc::new(function));
            }
            return;
        };
        self.faults.push(Fault::new(place, why));
    }

    fn overloads(
        &mut self,
        routines: &[&Routine],
        written: &Options,
        defaults: &Options,
        databases: &Databases,
    ) -> Vec<Overload> {
        let mut overloads = Vec::<Overload>::new();
        for routine in routines {
            match Overload::new(routine, written, defaults) {
                Ok(overload) => {
                    if let Some(fault) = databases.fault_of(&overload.options) {
                        self.faults.push(fault);
                        continue;
                    }
                    if let Some(other) = overloads.iter().find(|other| other.is_like(&overload)) {
                        self.faults.push(overload.unlike(other));
                    }
                    overloads.push(overload);
                }
                Err(faults) => self.faults.extend(faults),
            }
        }
        let names: Vec<_> = (overloads.iter()).flat_map(Overload::input_names).collect();
        for said in &written.params {
            if !overloads.is_empty() && !names.contains(&said.name) {
                self.faults.push(no_such(said, &names));
            }
        }
        overloads
    }
}

impl FunctionOptions {
    fn uri(&self, name: &str) -> String {
        match &*self.prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }
}

/// What keeps all functions of a schema from being procedures.
fn fault_of(schema: &Schema) -> Option<Fault> {
    let Schema {
        name, sql, role, ..
    } = schema;
    let why = if !schema.exists {
        let others: Vec<_> = schema.others.iter().map(String::as_str).collect();
        let meant = did_you_mean(name, &others);
        format!("there is no schema `{name}` in the database{meant}")
    } else if !schema.is_usable {
        format!("the role {role} may not use it: GRANT USAGE ON SCHEMA {sql} TO {role}")
    } else {
        return None;
    };
    let place = Place::of(&format!("extra.schemas[{name:?}]").into());
    Some(Fault::new(place, why))
}

/// Why a function is no procedure, if it is none.
fn left_out(routine: &Routine, schema: &Schema) -> Option<LeftOut> {
    let signature = routine.signature();
    let why = unfit(routine);
    let is_forbidden = why.is_none();
    let forbidden = || {
        let (noun, role) = (routine.noun(), &schema.role);
        let grant = format!("GRANT EXECUTE ON {noun} {signature} TO {role}");
        format!("the role {role} may not execute it: {grant}")
    };
    if is_forbidden && routine.may_execute {
        return None;
    }
    Some(LeftOut {
        why: why.unwrap_or_else(forbidden),
        is_forbidden,
        signature,
    })
}

/// What keeps any call from executing a function, or that it is none for calls.
fn unfit(routine: &Routine) -> Option<String> {
    let internal = routine.inputs().find(|(input, _)| {
        input.is_pseudo && !is_polymorphic(&input.shown) && input.shown != "cstring"
    });
    let result = &*routine.result;
    let is_known = is_polymorphic(result) || matches!(result, "void" | "record" | "cstring");
    Some(match (routine.kind, &routine.extension, internal) {
        (RoutineKind::Aggregate, _, _) => "it is an aggregate".to_owned(),
        (RoutineKind::Window, _, _) => "it is a window function".to_owned(),
        _ if matches!(result, "trigger" | "event_trigger") => "it is a trigger function".to_owned(),
        (_, Some(extension), _) => format!("it is of the extension {extension}"),
        (_, _, Some((input, _))) => format!("it takes {}, of which SQL has no values", input.shown),
        _ if routine.result_kind == TypeKind::Pseudo && !is_known => {
            format!("it returns {result}, of which SQL has no values")
        }
        _ => return None,
    })
}

/// Whether a type stands for any: `anyelement`, `anycompatible`, `"any"`.
fn is_polymorphic(shown: &str) -> bool {
    shown.trim_matches('"').starts_with("any")
}
