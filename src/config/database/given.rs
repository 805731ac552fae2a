//! Owns where a parameter of a database comes from: the document, one of libpq's variables, or `DATABASE_URL`. Knows
//! the names that it has in each, not what it means.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::check::Context;
use crate::config::duration::{Times, time};
use crate::config::json::Json;
use crate::config::keys::Choice;
use crate::config::reader::{Cursor, Object};
use crate::config::url::PostgresUrl;
use crate::config::words::either;

/// The keys that the environment can fill in, and libpq's variables for them (PostgreSQL's manual, 34.15).
const VARIABLES: [(&str, &str); 11] = [
    ("host", "PGHOST"),
    ("port", "PGPORT"),
    ("database", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("application_name", "PGAPPNAME"),
    ("options", "PGOPTIONS"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
];

/// Where a database is. `DATABASE_URL` has a say only if one of these is open: else it speaks of another database.
const PLACE: [&str; 5] = ["host", "port", "database", "user", "password"];

const URL: &str = "DATABASE_URL";

/// All that is known of one database.
pub(super) struct Sources<'a> {
    pub(super) object: &'a Object<'a>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    url: PostgresUrl,
}

impl<'a> Sources<'a> {
    pub(super) fn new(object: &'a Object<'a>, context: &Context<'a>) -> Self {
        let mut sources = Sources {
            object,
            environment: context.options.environment,
            url: PostgresUrl::default(),
        };
        let whole = PLACE.iter().all(|key| sources.find(key).is_some());
        if let (false, Some(url)) = (whole, sources.variable(URL)) {
            sources.url = PostgresUrl::parse(&url).unwrap_or_else(|problem| {
                object.at.fault_unseen(format!(
                    "the environment's {URL} fills in what is not written, but is malformed: {problem}"
                ));
                PostgresUrl::default()
            });
        }
        sources
    }

    /// What the environment says, if it says anything.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// The parameter `key`: as it is written, else as a variable has it, else as the URL has it.
    pub(super) fn find(&self, key: &'static str) -> Option<Given<'a>> {
        if let Some(member) = self.object.member(key) {
            return Some(Given::Written(member));
        }
        let variable = VARIABLES.iter().find(|(name, _)| *name == key);
        let from = |variable, value| Given::Environment {
            place: self.object.at.clone(),
            variable,
            key,
            value,
        };
        variable
            .and_then(|(_, variable)| Some(from(variable, self.variable(variable)?)))
            .or_else(|| Some(from(URL, self.url.get(key)?.to_owned())))
    }
}

/// A parameter of a database, and where it was found.
pub(super) enum Given<'a> {
    Written(Cursor<'a>),
    Environment {
        /// The database, or the component, that has no such key.
        place: Cursor<'a>,
        variable: &'static str,
        key: &'static str,
        value: String,
    },
}

impl Given<'_> {
    /// The value is not what it `must` be. That of a variable is not shown.
    pub(super) fn fault(&self, must: impl Display) {
        match self {
            Given::Written(member) => member.fault(must.to_string()),
            Given::Environment {
                place,
                variable,
                key,
                ..
            } => place.fault_unseen(format!(
                "the environment's {variable} fills in `{key}`, which {must}"
            )),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Given::Written(member) => member.text(),
            Given::Environment { value, .. } => Some(value),
        }
    }

    pub(super) fn one_of(&self, choice: &'static Choice) -> Option<&'static str> {
        let value = match self {
            Given::Written(member) => return member.one_of(choice),
            Given::Environment { value, .. } => value,
        };
        let served = choice.served.iter().find(|served| *served == value);
        if served.is_none() {
            self.fault(format!("must be {}", either(choice.served)));
        }
        served.copied()
    }

    pub(super) fn integer_in(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        let value = match self {
            Given::Written(member) => return member.integer_in(range),
            Given::Environment { value, .. } => value.parse().ok(),
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.fault(format!(
                "must be an integer from {} to {}",
                range.start(),
                range.end()
            ));
        }
        value
    }

    /// True or false, for which libpq has 1 and 0.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = match self {
            Given::Written(member) => match member.value() {
                Json::Bool(flag) => Some(*flag),
                Json::Number(number) => number.as_u64().filter(|n| *n <= 1).map(|n| n == 1),
                _ => None,
            },
            Given::Environment { value, .. } => match value.as_str() {
                "0" => Some(false),
                "1" => Some(true),
                _ => None,
            },
        };
        if flag.is_none() {
            self.fault("must be true or false, or libpq's 1 or 0");
        }
        flag
    }

    /// A time. The environment has libpq's units: whole seconds, or milliseconds.
    pub(super) fn time(&self, times: &Times) -> Option<Duration> {
        let value = match self {
            Given::Written(member) => return time(member, times),
            Given::Environment { value, .. } => value.parse().ok(),
        };
        let (unit, of): (_, fn(u64) -> Duration) = match times.elsewhere_millis {
            true => ("milliseconds", Duration::from_millis),
            false => ("seconds", Duration::from_secs),
        };
        let time = value.map(of).filter(|time| times.contain(*time));
        if time.is_none() {
            self.fault(format!(
                "must be a whole number of {unit}, {}",
                times.range()
            ));
        }
        time
    }
}
