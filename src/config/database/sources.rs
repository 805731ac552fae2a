//! Owns where the parameters of a database come from: the document, a service file, libpq's
//! variables, `DATABASE_URL`, in this order. Knows the names that they have in each, not what they
//! mean.

use std::{collections::BTreeMap, time::Duration};

use super::{
    parameter_value::{Origin, ParameterValue},
    service::{self, Service},
};
use crate::config::{
    context::Context,
    libpq::{self, Means, PARAMETERS, Parameter, Protects},
    object::Object,
    url::PostgresUrl,
};

/// Where a database is. `DATABASE_URL` and `PGSERVICE` count only if one of these is open;
/// otherwise they are about another database.
const PLACE: [&str; 5] = ["host", "port", "database", "user", "password"];

const URL: &str = "DATABASE_URL";

/// What a URL or a service says, by the names of libpq's parameters, and what to call it.
struct Layer {
    source: String,
    values: BTreeMap<&'static str, String>,
}

/// All that is known of one database.
pub(super) struct Sources<'a> {
    pub(super) object: &'a Object<'a>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// The service that is written, or that `PGSERVICE` names. As in libpq, it comes before the
    /// variables.
    service: Option<Layer>,
    /// The URL, and the service that it names.
    url: Vec<Layer>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(object: &'a Object<'a>, context: &Context<'a>) -> Self {
        let mut sources = Sources {
            object,
            environment: context.options.environment,
            service: None,
            url: Vec::new(),
        };
        let written = |key| sources.written(key).is_some();
        if written("service") || !PLACE.iter().all(|key| written(key)) {
            sources.service = (sources.find("service")).and_then(|given| sources.layer_of(&given));
        }
        let whole = PLACE.iter().all(|key| sources.find(key).is_some());
        if let (false, Some(url)) = (whole, sources.variable(URL)) {
            sources.read_url(&url);
        }
        sources
    }

    fn read_url(&mut self, url: &str) {
        let place = &self.object.at;
        if !PostgresUrl::is_postgres(url)
            && ["host", "hostaddr"]
                .iter()
                .any(|key| self.find(key).is_some())
        {
            return place.note(format!(
                "the environment's {URL} has no effect: it is not one of PostgreSQL's"
            ));
        }
        match PostgresUrl::parse(url) {
            Ok(PostgresUrl(values)) => self.url.push(Layer {
                source: format!("the environment's {URL}"),
                values,
            }),
            Err(problem) => place.fault_unseen(format!(
                "the environment's {URL} fills in what is not written, but is malformed: {problem}"
            )),
        }
        if self.service.is_none()
            && let Some(layer) =
                (self.in_layers(&self.url, "service")).and_then(|given| self.layer_of(&given))
        {
            self.url.push(layer);
        }
    }

    /// The service that was found by this name.
    fn layer_of(&self, name: &ParameterValue<'a>) -> Option<Layer> {
        let name_of_service = name.text()?;
        match service::find(name_of_service, &|variable| self.variable(variable)) {
            Ok(Service { file, values }) => Some(Layer {
                source: format!("the service in {}", file.display()),
                values,
            }),
            Err(problem) => {
                name.fault(problem);
                None
            }
        }
    }

    /// What the environment says, if it says anything.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn in_layers(&self, layers: &[Layer], key: &'static str) -> Option<ParameterValue<'a>> {
        let names = parameters_of(key).map(|parameter| parameter.name);
        let mut found = layers.iter().flat_map(|layer| {
            let values = names.clone().filter_map(|name| layer.values.get(name));
            values.map(|value| (&layer.source, value))
        });
        let (source, value) = found.next()?;
        Some(self.elsewhere(source.clone(), key, value.clone()))
    }

    fn elsewhere(&self, source: String, key: &'static str, value: String) -> ParameterValue<'a> {
        let origin = Origin::Elsewhere {
            place: self.object.at.clone(),
            source,
            key,
            value,
        };
        let (row, _) = self.object.find(key);
        ParameterValue { row, origin }
    }

    fn in_variables(&self, key: &'static str) -> Option<ParameterValue<'a>> {
        parameters_of(key).find_map(|parameter| {
            let value = self.variable(parameter.variable)?;
            let value = match parameter.name {
                "requiressl" => libpq::sslmode_of_requiressl(&value).to_owned(),
                _ => value,
            };
            let source = format!("the environment's {}", parameter.variable);
            Some(self.elsewhere(source, key, value))
        })
    }

    /// The parameter `key`: as it is written, else as a service, a variable or the URL has it.
    pub(super) fn find(&self, key: &'static str) -> Option<ParameterValue<'a>> {
        self.written(key)
            .or_else(|| self.in_layers(self.service.as_slice(), key))
            .or_else(|| self.in_variables(key))
            .or_else(|| self.in_layers(&self.url, key))
    }

    /// The parameter `key` as the document has it.
    pub(super) fn written(&self, key: &'static str) -> Option<ParameterValue<'a>> {
        let (row, member) = self.object.find(key);
        let origin = Origin::Written(member?);
        Some(ParameterValue { row, origin })
    }

    /// The default of a text or a word, if it has one.
    pub(super) fn default_text(&self, key: &'static str) -> Option<String> {
        self.object.default_text(key).map(str::to_owned)
    }

    pub(super) fn word(&self, key: &'static str) -> Option<&'static str> {
        match self.find(key) {
            Some(value) => value.one_of(),
            None => self.object.default_text(key),
        }
    }

    pub(super) fn flag(&self, key: &'static str) -> bool {
        let value = self.find(key).and_then(|value| value.flag());
        value.unwrap_or_else(|| self.object.default_flag(key))
    }

    /// A time; 0 sets no limit.
    pub(super) fn time(&self, key: &'static str) -> Duration {
        let value = self.find(key).and_then(|value| value.time());
        value.unwrap_or_else(|| Duration::from_secs(self.object.default_number(key)))
    }

    pub(super) fn integer(&self, key: &'static str) -> u64 {
        let value = self.find(key).and_then(|value| value.integer());
        value.unwrap_or_else(|| self.object.default_number(key))
    }

    /// The settings that each session begins with: of the variables that only name a setting.
    pub(super) fn session_settings(&self) -> impl Iterator<Item = (&'static str, String)> {
        PARAMETERS.iter().filter_map(|parameter| {
            let Means::Session(setting) = parameter.means else {
                return None;
            };
            Some((setting, self.variable(parameter.variable)?))
        })
    }

    /// Looks at each parameter of the environment that fills in no key: notes that it has no effect,
    /// or refuses it.
    pub(super) fn judge_the_rest(&self, has_tls: bool, has_unix_socket: bool) {
        for parameter in PARAMETERS {
            if let Some((source, value)) = self.outside(parameter) {
                let place = &self.object.at;
                match parameter.means {
                    Means::NoEffect(why) => {
                        place.note(format!("{source} has no effect: {why}"));
                    }
                    Means::NoEffectIf(values, why) if !values.contains(&value.as_str()) => place
                        .fault_unseen(format!(
                            "{source} asks for what cannot be had: {why}; remove it"
                        )),
                    Means::Refused(protects, cure) => {
                        let concerns = match protects {
                            Protects::Tls => has_tls,
                            Protects::UnixSocket => has_unix_socket,
                        };
                        if concerns {
                            place.fault_unseen(format!("{source} is not served: {cure}"))
                        } else {
                            place.note(format!("{source} has no effect on this database"))
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// What a service, a variable or the URL says of a parameter that is no key, and where it
    /// stands.
    fn outside(&self, parameter: &Parameter) -> Option<(String, String)> {
        let in_layer = |layer: &Layer| {
            let value = layer.values.get(parameter.name)?;
            let source = format!("{} has a `{}`, which", layer.source, parameter.name);
            Some((source, value.clone()))
        };
        let variable = || {
            let value = self.variable(parameter.variable)?;
            Some((format!("the environment's {}", parameter.variable), value))
        };
        (self.service.iter().find_map(in_layer))
            .or_else(variable)
            .or_else(|| self.url.iter().find_map(in_layer))
    }
}

fn parameters_of(key: &'static str) -> impl Iterator<Item = &'static Parameter> + Clone {
    (PARAMETERS.iter()).filter(move |parameter| parameter.means == Means::Key(key))
}
