//! The procedure that gives what came since an event. Owns its arguments and its answer. Must not know
//! who publishes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sql::{Database, Job, Results, Statement, params};
use wamp::{Identity, Uri};

use super::{
    super::super::{Answer, Error, Invocation, Reply},
    event::Event,
    outbox::{State, mend},
    settings::Outbox,
};

/// How many events an answer has where nothing is said, and at most.
const LIMIT: u32 = 1000;
/// How many bytes they have, but for the last.
const MAX_BYTES: i64 = 8 << 20;
/// The error of a position or an event after which events have been deleted.
const MISSING: &str = "wampgres.error.events_missing";

const WANTED: &str = "wanted the id of an event, or the `next` of an answer; null is now";

/// The procedure of one outbox.
pub(super) struct Since {
    pub(super) uri: Uri,
    db: Arc<dyn Database>,
}

/// The arguments of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The id of an event, or a position.
    since: Option<Value>,
    limit: Option<u32>,
    /// The topics that are wanted; all if none are named.
    topics: Option<Vec<String>>,
}

/// What came since.
#[derive(Serialize)]
struct Came {
    events: Vec<Box<RawValue>>,
    /// After them.
    next: String,
    more: bool,
}

impl Since {
    pub(super) fn new(settings: &Outbox, db: Arc<dyn Database>) -> Self {
        Self {
            uri: settings.since.clone(),
            db,
        }
    }

    pub(super) fn call(&self, call: &Invocation) -> Answer {
        let asked = Asked::read(call)?;
        let caller = call.identity().cloned();
        let came = (self.db).submit(Job::new(asked.statement()?));
        Reply::later(came.map_result(move |results| match results {
            Ok(results) => asked.came(&results, caller.as_ref()),
            Err(error) => Err(match mend(&error) {
                Some(mend) => Error::runtime(mend),
                None => error.into(),
            }),
        }))
    }
}

impl Asked {
    /// By position, by name, or both.
    fn read(call: &Invocation) -> Result<Self, Error> {
        let mut asked: Self = call.kwargs()?;
        let positional: Vec<Value> = call.args()?;
        if positional.len() > 2 {
            return Err(Error::invalid_argument(
                "there are too many arguments: wanted `since` and `limit`",
            ));
        }
        let mut positional = positional.into_iter();
        asked.since = positional.next().or(asked.since);
        if let Some(limit) = positional.next() {
            asked.limit = serde_json::from_value(limit).map_err(|error| {
                Error::invalid_argument(format_args!("argument `limit`: {error}"))
            })?;
        }
        if !(1..=LIMIT).contains(&asked.limit()) {
            let why = format!("argument `limit`: wanted an integer from 1 to {LIMIT}");
            return Err(Error::invalid_argument(why));
        }
        Ok(asked)
    }

    fn limit(&self) -> u32 {
        self.limit.unwrap_or(LIMIT)
    }

    fn statement(&self) -> Result<Statement, Error> {
        const AFTER_EVENT: &str = "\
            SELECT e.id, to_json(e.at) #>> '{}' AS at, e.topic, e.args, e.kwargs, e.options, e.state \
            FROM wampgres.event_position($1) AS position \
            LEFT JOIN LATERAL wampgres.read_outbox(position, $2, $3) AS e ON position IS NOT NULL";
        const AFTER_POSITION: &str = "\
            SELECT e.id, to_json(e.at) #>> '{}' AS at, e.topic, e.args, e.kwargs, e.options, e.state \
            FROM wampgres.read_outbox($1, $2, $3) AS e";
        let limit = i32::try_from(self.limit()).unwrap_or(i32::MAX);
        let wrong = || Error::invalid_argument(format_args!("argument `since`: {WANTED}"));
        match &self.since {
            Some(Value::Number(id)) => {
                let id = id.as_i64().ok_or_else(wrong)?;
                Ok(Statement::new(AFTER_EVENT, params![id, limit, MAX_BYTES]))
            }
            None | Some(Value::Null) => {
                let now = None::<String>;
                Ok(Statement::new(
                    AFTER_POSITION,
                    params![now, limit, MAX_BYTES],
                ))
            }
            Some(Value::String(position)) if is_position(position) => {
                let position = Some(position.clone());
                Ok(Statement::new(
                    AFTER_POSITION,
                    params![position, limit, MAX_BYTES],
                ))
            }
            Some(_) => Err(wrong()),
        }
    }

    /// The answer: those events that the caller may have, and where to go on.
    fn came(&self, results: &Results, caller: Option<&Identity>) -> Result<Came, Error> {
        let rows = &results.first;
        let is_known = rows
            .row(0)
            .map(|row| (row.get::<Option<&str>>("state"), rows.len()));
        if let Some((Ok(None), 1)) = is_known {
            return Err(missing(format_args!(
                "the event {} is not kept",
                self.since()
            )));
        }
        let state = State::read(rows)?;
        if state.missing {
            return Err(missing(format_args!(
                "events since {} may have been deleted",
                self.since()
            )));
        }
        let mut events = Vec::new();
        for row in rows.iter() {
            let Some(event) = Event::read(&row)? else {
                continue;
            };
            if self.wants(&event.topic) && event.is_for(caller) {
                let at: &str = row.get("at")?;
                events.push(
                    serde_json::value::to_raw_value(&event.answer(at)?).map_err(Error::runtime)?,
                );
            }
        }
        Ok(Came {
            events,
            next: state.position,
            more: state.more,
        })
    }

    fn since(&self) -> String {
        self.since
            .as_ref()
            .map_or_else(String::new, Value::to_string)
    }

    fn wants(&self, topic: &Uri) -> bool {
        (self.topics.as_ref()).is_none_or(|topics| topics.iter().any(|one| one == topic.as_str()))
    }
}

fn missing(what: std::fmt::Arguments<'_>) -> Error {
    let why = format!("{what}: events are kept for a time only; read anew what they are about");
    Error::new(MISSING, why)
}

/// Whether a text looks as a position does; PostgreSQL reads the rest.
fn is_position(text: &str) -> bool {
    let is_of_one = |c: char| c.is_ascii_digit() || matches!(c, ':' | ',' | ';');
    text.contains(':') && text.len() <= 1 << 16 && text.chars().all(is_of_one)
}
