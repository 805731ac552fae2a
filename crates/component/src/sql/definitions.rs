//! Owns what the `extra` of a component comes to: its procedures, out of files and out of the
//! configuration, and what is said of functions, with all faults at once. Must not know a database.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::Path,
};

use serde_json::{Map, Value};
use wamp::Uri;

use super::{
    super::did_you_mean::did_you_mean,
    databases::Databases,
    files,
    functions::FunctionOptions,
    identity::RoleTable,
    options::{OPTIONS, OptionPlace, Options, Written},
    procedure::Plan,
    text::{Fault, Place, Source},
    topics,
};

/// What is defined: the procedures by their URIs, what is said of functions, and what is wrong with
/// others.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) plans: BTreeMap<String, Plan>,
    pub(super) topics: topics::Settings,
    pub(super) functions: FunctionOptions,
    pub(super) faults: Vec<Fault>,
    /// The URIs of procedures that have a fault.
    pub(super) faulty: BTreeSet<String>,
    /// Whether all is known that there is. If a file cannot be read, it is not.
    pub(super) is_complete: bool,
}

/// The keys of `extra` that are no options.
const KEYS: [&str; 9] = [
    "describe",
    "directory",
    "prefix",
    "procedures",
    "reload_channel",
    "replica",
    "roles",
    "schemas",
    "topics",
];
/// Schemas of which the functions are not for calls: some of them reach the server's files.
const NOT_FOR_CALLS: [&str; 2] = ["pg_catalog", "information_schema"];

impl Definitions {
    /// Reads all that `extra` describes.
    ///
    /// # Blocking
    /// Reads the files of its `directory`.
    pub(super) fn read(extra: &Value, databases: &Databases) -> Self {
        let mut this = Self {
            is_complete: true,
            ..Self::default()
        };
        let nothing = Map::new();
        let extra = extra.as_object().unwrap_or(&nothing);
        let defaults = this.defaults(extra);
        let mut written = this.written(extra);
        this.check_describe(extra);
        let prefix = this.text(extra, "prefix").unwrap_or_default();
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        this.topics(extra, prefix);
        if let Some(directory) = this.text(extra, "directory") {
            let (files, faults) = files::read(Path::new(directory));
            this.is_complete = faults.is_empty();
            this.faults.extend(faults);
            for file in files {
                let uri = match prefix {
                    "" => file.name,
                    prefix => format!("{prefix}.{}", file.name),
                };
                let options = written.remove(&uri).unwrap_or_default();
                this.define(&uri, (&file.label, &file.text), options, &defaults);
            }
        }
        let schemas = this.schemas(extra);
        for (uri, mut options) in written {
            let place = place_of(&uri);
            match options.sql.take() {
                Some(sql) => {
                    let label = place.below("sql").to_string();
                    this.define(&uri, (&label, &sql), options, &defaults);
                }
                None if !schemas.is_empty() => {
                    this.functions.written.insert(uri, options);
                }
                None => {
                    let why = "has no `sql`, and no file of this name is in the directory";
                    this.faults.push(Fault::new(place, why));
                }
            }
        }
        this.text(extra, "reload_channel");
        this.check_databases(extra, databases);
        this.check_identity(extra, &defaults, !schemas.is_empty());
        let taken = this.plans.keys().chain(&this.faulty);
        this.functions = FunctionOptions {
            schemas,
            prefix: prefix.to_owned(),
            defaults,
            written: mem::take(&mut this.functions.written),
            taken: taken.cloned().collect(),
        };
        this
    }

    /// What is there for the sake of the identity has to be in order, and not in vain. A function may
    /// have the identity by its own comment.
    fn check_identity(
        &mut self,
        extra: &Map<String, Value>,
        defaults: &Options,
        has_functions: bool,
    ) {
        let roles = extra.get("roles");
        let faults = roles.and_then(|roles| RoleTable::read(roles).err());
        self.faults.extend(faults.into_iter().flatten());
        let mut plans = self.plans.values();
        if has_functions || self.plans.is_empty() || plans.any(|plan| plan.told.has_identity) {
            return;
        }
        let roles = roles.map(|_| "extra.roles");
        let before = defaults.before.as_ref().map(|_| "extra.before");
        for place in roles.into_iter().chain(before) {
            let why = "is for procedures that have the identity of their callers, and `identity` is \
                       false for all";
            let place = Place::of(&place.into());
            self.faults.push(Fault::new(place, why));
        }
    }

    fn topics(&mut self, extra: &Map<String, Value>, prefix: &str) {
        if let Some(topics) = extra.get("topics") {
            let (settings, faults) = topics::Settings::read(topics, prefix);
            self.topics = settings;
            self.faults.extend(faults);
        }
    }

    /// Takes out what names a database that there is none of.
    fn check_databases(&mut self, extra: &Map<String, Value>, databases: &Databases) {
        let replica = self.text(extra, "replica");
        if let Some(why) = replica.and_then(|name| databases.fault(name)) {
            let place = Place::of(&"extra.replica".into());
            self.faults.push(Fault::new(place, why));
        }
        let (faults, faulty) = (&mut self.faults, &mut self.faulty);
        self.plans.retain(|uri, plan| {
            let fault = databases.fault_of(&plan.options);
            if fault.is_some() {
                faulty.insert(uri.clone());
            }
            let is_sound = fault.is_none();
            faults.extend(fault);
            is_sound
        });
    }

    /// Defines a procedure with the text of its SQL, which `label` names in faults.
    fn define(
        &mut self,
        uri: &str,
        (label, text): (&str, &str),
        options: Options,
        defaults: &Options,
    ) {
        let place = || Place::of(&label.into());
        let is_uri = Uri::from(uri).is_loose() && !Uri::from(uri).is_too_long();
        let why = if !is_uri {
            format!("{uri:?} is no URI of a procedure")
        } else if self.plans.contains_key(uri) {
            format!("the procedure {uri} is there already, from another file")
        } else if options.sql.is_some() {
            format!("the procedure {uri} has a `sql` in the configuration too")
        } else {
            let plan =
                Source::read(label, text).and_then(|source| Plan::new(source, options, defaults));
            match plan {
                Ok(plan) => drop(self.plans.insert(uri.to_owned(), plan)),
                Err(faults) => {
                    self.faults.extend(faults);
                    self.faulty.insert(uri.to_owned());
                }
            }
            return;
        };
        self.faults.push(Fault::new(place(), why));
    }

    /// The options that hold for all procedures.
    fn defaults(&mut self, extra: &Map<String, Value>) -> Options {
        let mut options = Options::default();
        for (key, value) in extra {
            let place = Place::of(&format!("extra.{key}").into());
            let why = if KEYS.contains(&key.as_str()) {
                continue;
            } else if let Some(row) = OPTIONS.iter().find(|row| row.name == key) {
                if row.place == OptionPlace::Anywhere {
                    let taken = options.take(&place, key, Written::Json(value));
                    self.faults.extend(taken.err());
                    continue;
                }
                "cannot hold for all procedures: it belongs to one, below `procedures`".to_owned()
            } else {
                let options = OPTIONS.iter().map(|row| row.name);
                let known: Vec<_> = KEYS.into_iter().chain(options).collect();
                format!("unknown key{}", did_you_mean(key, &known))
            };
            self.faults.push(Fault::new(place, why));
        }
        options
    }

    /// What stands below `procedures`, by the URI.
    fn written(&mut self, extra: &Map<String, Value>) -> BTreeMap<String, Options> {
        let mut all = BTreeMap::new();
        let Some(procedures) = extra.get("procedures") else {
            return all;
        };
        let Some(procedures) = procedures.as_object() else {
            let place = Place::of(&"extra.procedures".into());
            let why = "must be an object with an object for each URI of a procedure";
            self.faults.push(Fault::new(place, why));
            return all;
        };
        for (uri, written) in procedures {
            let place = place_of(uri);
            let mut options = Options::default();
            match written.as_object() {
                Some(written) => {
                    for (key, value) in written {
                        let taken = options.take(&place.below(key), key, Written::Json(value));
                        self.faults.extend(taken.err());
                    }
                }
                None => self
                    .faults
                    .push(Fault::new(place, "must be an object of options")),
            }
            all.insert(uri.clone(), options);
        }
        all
    }

    fn check_describe(&mut self, extra: &Map<String, Value>) {
        let is_fine = match extra.get("describe") {
            None | Some(Value::Bool(false)) => true,
            Some(Value::String(uri)) => Uri::from(uri.as_str()).is_loose(),
            Some(_) => false,
        };
        if !is_fine {
            let place = Place::of(&"extra.describe".into());
            let why = "must be the URI of the procedure that describes the others, or false";
            self.faults.push(Fault::new(place, why));
        }
    }

    /// The schemas whose functions are procedures, in their order.
    fn schemas(&mut self, extra: &Map<String, Value>) -> Vec<String> {
        let Some(written) = extra.get("schemas") else {
            return Vec::new();
        };
        let mut schemas = Vec::new();
        let items = written.as_array().map(Vec::as_slice);
        for item in items.unwrap_or(std::slice::from_ref(written)) {
            let why = match item.as_str() {
                Some(name) if NOT_FOR_CALLS.contains(&name) => {
                    "is PostgreSQL's own: make a schema of the functions that may be called"
                }
                Some(name) if schemas.iter().any(|other| other == name) => "is there twice",
                Some(name) if items.is_some() && !name.is_empty() => {
                    schemas.push(name.to_owned());
                    continue;
                }
                _ => "must be a list of the names of schemas",
            };
            let place = Place::of(&format!("extra.schemas[{item}]").into());
            self.faults.push(Fault::new(place, why));
        }
        schemas
    }

    fn text<'a>(&mut self, extra: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
        let value = extra.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            let place = Place::of(&format!("extra.{key}").into());
            self.faults.push(Fault::new(place, "must be a text"));
        }
        text
    }
}

fn place_of(uri: &str) -> Place {
    Place::of(&format!("extra.procedures[{uri:?}]").into())
}
