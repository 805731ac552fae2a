//! Owns what the `extra` of a component comes to: its procedures, out of files and out of the
//! configuration, with all faults at once. Must not know a database.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};
use wamp::Uri;

use super::{
    super::did_you_mean::did_you_mean,
    files,
    options::{OPTIONS, OptionPlace, Options, Written},
    procedure::Plan,
    text::{Fault, Place, Source},
};

/// What is defined: the procedures by their URIs, and what is wrong with others.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) plans: BTreeMap<String, Plan>,
    /// The procedure that describes the others, where the configuration says so: none for `false`.
    pub(super) describe: Option<Option<String>>,
    pub(super) faults: Vec<Fault>,
}

/// The keys of `extra` that are no options.
const KEYS: [&str; 4] = ["directory", "prefix", "procedures", "describe"];
/// Those that are known and not served.
const NOT_YET: [&str; 3] = ["schemas", "topics", "before"];

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
        let mut written = this.written(extra);
        this.describe = this.describe_of(extra);
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
        this
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

    fn describe_of(&mut self, extra: &Map<String, Value>) -> Option<Option<String>> {
        match extra.get("describe")? {
            Value::Bool(false) => Some(None),
            Value::String(uri) if Uri::from(uri.as_str()).is_loose() => Some(Some(uri.clone())),
            _ => {
                let place = Place::of(&"extra.describe".into());
                let why = "must be the URI of the procedure that describes the others, or false";
                self.faults.push(Fault::new(place, why));
                None
            }
        }
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
