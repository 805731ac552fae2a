//! Owns what the `extra` of a component comes to: its procedures, out of files and out of the
//! configuration, with all faults at once. Must not know a database.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};
use wamp::Uri;

use super::{
    super::did_you_mean::did_you_mean,
    files,
    identity::{Before, RoleTable},
    options::{OPTIONS, OptionPlace, Options, Written},
    procedure::Plan,
    text::{Fault, Place, Source},
};

/// What is defined: the procedures by their URIs, and what is wrong with others.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) plans: BTreeMap<String, Plan>,
    /// The roles of the database for the callers.
    pub(super) roles: Option<RoleTable>,
    pub(super) faults: Vec<Fault>,
}

/// The keys of `extra` that are no options.
const KEYS: [&str; 4] = ["directory", "prefix", "procedures", "roles"];
/// Those that are known and not served.
const NOT_YET: [&str; 2] = ["schemas", "topics"];

impl Definitions {
    /// Reads all that `extra` describes.
    ///
    /// # Blocking
    /// Reads the files of its `directory`.
    pub(super) fn read(extra: &Value) -> Self {
        let mut this = Self::default();
        let nothing = Map::new();
        let extra = extra.as_object().unwrap_or(&nothing);
        let defaults = this.defaults(extra);
        this.roles = this.roles(extra);
        let mut written = this.written(extra);
        let prefix = this.text(extra, "prefix").unwrap_or_default();
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        if let Some(directory) = this.text(extra, "directory") {
            let (files, faults) = files::read(Path::new(directory));
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
        for (uri, mut options) in written {
            let place = place_of(&uri);
            match options.sql.take() {
                Some(sql) => {
                    let label = place.below("sql").to_string();
                    this.define(&uri, (&label, &sql), options, &defaults);
                }
                None => {
                    let why = "has no `sql`, and no file of this name is in the directory";
                    this.faults.push(Fault::new(place, why));
                }
            }
        }
        this.check_for_identity(&defaults);
        this
    }

    /// The roles of the callers.
    fn roles(&mut self, extra: &Map<String, Value>) -> Option<RoleTable> {
        let roles = RoleTable::read(extra.get("roles")?);
        roles.map_err(|faults| self.faults.extend(faults)).ok()
    }

    /// What is there for the sake of the identity must not be in vain.
    fn check_for_identity(&mut self, defaults: &Options) {
        if self.plans.is_empty() || self.plans.values().any(|plan| plan.told.has_identity) {
            return;
        }
        let roles = self.roles.as_ref().map(|_| "extra.roles");
        let before = defaults.before.as_ref().map(|_| "extra.before");
        for place in roles.into_iter().chain(before) {
            let why = "is for procedures that have the identity of their callers, and `identity` is \
                       false for all";
            let place = Place::of(&place.into());
            self.faults.push(Fault::new(place, why));
        }
    }

    /// The functions that run before statements, each once.
    pub(super) fn befores(&self) -> Vec<Before> {
        let mut all: Vec<Before> = Vec::new();
        let plans = self.plans.values().filter(|plan| plan.told.has_identity);
        for before in plans.filter_map(|plan| plan.options.before.as_ref()) {
            if all.iter().all(|known| known.name != before.name) {
                all.push(before.clone());
            }
        }
        all
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
                Err(faults) => self.faults.extend(faults),
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
            } else if NOT_YET.contains(&key.as_str()) {
                "is not served yet".to_owned()
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
