//! Owns what the configuration says of topics, checked, with all faults at once. Must not know how
//! events come.

use std::time::Duration;

use serde_json::{Map, Value};
use sql::quote_channel;
use wamp::Uri;

use super::{
    super::{
        super::did_you_mean::did_you_mean,
        options::{OptionRow, Setting, Written},
        text::{Fault, Place},
    },
    table::{CHANNEL_OPTIONS, MAX_AGE, MAX_BYTES, OUTBOX_OPTIONS},
};

/// What `extra.topics` comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sql) struct Settings {
    pub(super) channels: Vec<Channel>,
    pub(super) outbox: Option<Outbox>,
}

/// A channel of NOTIFY and its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) topic: Uri,
    /// No payload is read as JSON.
    pub(super) is_text: bool,
}

/// The outbox of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outbox {
    /// What the topics begin with that are published; all if there are none.
    pub(super) topics: Vec<String>,
    pub(super) ids: bool,
    pub(super) since: Uri,
    pub(super) missing: Uri,
    pub(super) max_age: Duration,
    pub(super) max_bytes: u64,
}

impl Outbox {
    /// That of a component whose URIs begin with `prefix`, if anything.
    fn of(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() {
            "wampgres"
        } else {
            prefix
        };
        Self {
            topics: Vec::new(),
            ids: true,
            since: format!("{prefix}.events.since").into(),
            missing: format!("{prefix}.events.missing").into(),
            max_age: Duration::from_secs(MAX_AGE),
            max_bytes: MAX_BYTES,
        }
    }
}

impl Settings {
    /// What the `extra` of a component says, of which the faults are told already.
    pub(in crate::sql) fn of(extra: &Value) -> Self {
        let prefix = extra["prefix"].as_str().unwrap_or_default();
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        let topics = extra.get("topics");
        topics.map_or_else(Self::default, |topics| Self::read(topics, prefix).0)
    }

    /// Reads `extra.topics` of a component whose URIs begin with `prefix`, if anything.
    pub(in crate::sql) fn read(topics: &Value, prefix: &str) -> (Self, Vec<Fault>) {
        let place = Place::of(&"extra.topics".into());
        let mut reading = Reading::default();
        let Some(topics) = reading.object(&place, topics) else {
            return (Self::default(), reading.faults);
        };
        let mut settings = Self::default();
        for (key, value) in topics {
            let place = place.below(key);
            match key.as_str() {
                "channels" => settings.channels = reading.channels(&place, value),
                "outbox" => settings.outbox = reading.outbox(&place, value, prefix),
                key => reading.fault(&place, unknown(key, &["channels", "outbox"])),
            }
        }
        (settings, reading.faults)
    }

    /// Whether nothing is published.
    pub(in crate::sql) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.outbox.is_none()
    }

    /// Whether what SQL publishes is.
    pub(in crate::sql) fn has_outbox(&self) -> bool {
        self.outbox.is_some()
    }
}

#[derive(Default)]
struct Reading {
    faults: Vec<Fault>,
}

impl Reading {
    fn fault(&mut self, place: &Place, why: impl Into<String>) {
        self.faults.push(Fault::new(place.clone(), why));
    }

    fn object<'a>(&mut self, place: &Place, value: &'a Value) -> Option<&'a Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.fault(place, "must be an object");
        }
        object
    }

    fn channels(&mut self, place: &Place, value: &Value) -> Vec<Channel> {
        let channels = self.object(place, value).into_iter().flatten();
        channels
            .filter_map(|(name, value)| {
                self.channel(&place.below(&format!("{name:?}")), name, value)
            })
            .collect()
    }

    fn channel(&mut self, place: &Place, name: &str, value: &Value) -> Option<Channel> {
        if let Err(error) = quote_channel(name) {
            self.fault(place, error.to_string());
        }
        let (mut topic, mut is_text) = (None, false);
        if let Value::String(_) = value {
            topic = self.uri(place, value.as_str().unwrap_or_default());
        } else {
            let object = self.object(place, value)?;
            for (place, name, setting) in self.settings(place, object, CHANNEL_OPTIONS) {
                match (name, setting) {
                    ("topic", Setting::Text(uri)) => topic = self.uri(&place, &uri),
                    ("payload", Setting::Text(word)) => is_text = word == "text",
                    _ => {}
                }
            }
            if !object.contains_key("topic") {
                self.fault(&place.below("topic"), "missing; must be the URI of a topic");
            }
        }
        Some(Channel {
            name: name.to_owned(),
            topic: topic?,
            is_text,
        })
    }

    /// True is an outbox of which nothing is said.
    fn outbox(&mut self, place: &Place, value: &Value, prefix: &str) -> Option<Outbox> {
        let mut outbox = Outbox::of(prefix);
        match value {
            Value::Bool(is_wanted) => return is_wanted.then_some(outbox),
            Value::Object(object) => {
                for (place, name, setting) in self.settings(place, object, OUTBOX_OPTIONS) {
                    match (name, setting) {
                        ("ids", Setting::Flag(ids)) => outbox.ids = ids,
                        ("max_age", Setting::Time(time)) => outbox.max_age = time,
                        ("max_bytes", Setting::Count(bytes)) => outbox.max_bytes = bytes,
                        ("topics", Setting::Texts(topics)) => {
                            let uris = topics.iter().filter_map(|topic| self.uri(&place, topic));
                            outbox.topics = uris.map(|uri| uri.as_str().to_owned()).collect();
                        }
                        ("since", Setting::Text(uri)) => {
                            outbox.since = self.uri(&place, &uri).unwrap_or(outbox.since);
                        }
                        ("missing", Setting::Text(uri)) => {
                            outbox.missing = self.uri(&place, &uri).unwrap_or(outbox.missing);
                        }
                        _ => {}
                    }
                }
            }
            _ => self.fault(place, "must be an object, or true"),
        }
        Some(outbox)
    }

    /// What is set of the rows of a table.
    fn settings(
        &mut self,
        place: &Place,
        object: &Map<String, Value>,
        table: &'static [OptionRow],
    ) -> Vec<(Place, &'static str, Setting)> {
        let mut settings = Vec::new();
        for (key, value) in object {
            let place = place.below(key);
            let Some(row) = table.iter().find(|row| row.name == key) else {
                let names: Vec<_> = table.iter().map(|row| row.name).collect();
                self.fault(&place, unknown(key, &names));
                continue;
            };
            match row.kind.read(&place, Written::Json(value)) {
                Ok(setting) => settings.push((place, row.name, setting)),
                Err(why) => self.fault(&place, why),
            }
        }
        settings
    }

    fn uri(&mut self, place: &Place, text: &str) -> Option<Uri> {
        let uri = Uri::from(text);
        if uri.is_loose() && !uri.is_too_long() && !uri.is_reserved() {
            return Some(uri);
        }
        let why = "is no URI such as com.shop.stock: no blanks, no `#`, no empty part between its \
                   dots, and `wamp` is not for applications";
        self.fault(place, format!("{text:?} {why}"));
        None
    }
}

fn unknown(key: &str, known: &[&str]) -> String {
    let meant = did_you_mean(key, known);
    format!("unknown key{meant}; known are: {}", known.join(", "))
}
