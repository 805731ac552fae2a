//! Owns what a notification or a row of the outbox becomes as a publication. Must not know how either
//! comes.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;
use sql::Row;
use wamp::{Identity, Payload, PayloadError, PublishOptions, Receivers, Uri, error_uri};

use super::super::super::Error;

/// The keyword argument with an event's id.
const ID: &str = "_event";

/// Whether an event may not have reached the router, which would take it at another time.
pub(super) fn is_unsent(error: &Error) -> bool {
    matches!(
        error.uri().as_str(),
        error_uri::UNAVAILABLE | error_uri::CANCELED
    )
}

/// What subscribers are told when events may be missing: no arguments, and this alone.
pub(super) fn missing() -> Payload {
    let kwargs = serde_json::json!({"_missing": true});
    Payload::from_args_kwargs(&[(); 0], &kwargs).unwrap_or_default()
}

/// The arguments that the payload of a notification stands for: those of a JSON array or object, any
/// other JSON as one, and what is no JSON as a text. None without a payload.
pub(super) fn arguments(payload: &str, is_text: bool) -> Result<Payload, PayloadError> {
    if payload.is_empty() {
        return Ok(Payload::empty());
    }
    let json: Option<&RawValue> = serde_json::from_str(payload).ok();
    let arguments = match json.filter(|_| !is_text) {
        None => return Payload::from_args(&[payload]),
        Some(json) => match json.get().as_bytes().first() {
            Some(b'[') => Payload::from_args(&json),
            Some(b'{') => Payload::from_args_kwargs(&[(); 0], &json),
            _ => Payload::from_args(&[json]),
        },
    };
    // What is nested too deep for a message still travels as a text.
    arguments.or_else(|_| Payload::from_args(&[payload]))
}

/// An event of the outbox, as its row has it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: i64,
    pub(super) topic: Uri,
    /// JSON, as the others.
    args: Option<String>,
    kwargs: Option<String>,
    options: Option<String>,
}

impl Event {
    /// Reads a row of `wampgres.read_outbox`; the last one is no event.
    ///
    /// # Errors
    /// If it is none of its rows.
    pub(super) fn read(row: &Row<'_>) -> Result<Option<Self>, sql::Error> {
        let Some(id) = row.get("id")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            topic: row.get::<String>("topic")?.into(),
            args: row.get("args")?,
            kwargs: row.get("kwargs")?,
            options: row.get("options")?,
        }))
    }

    /// Its arguments, with its id among them if that is wanted.
    ///
    /// # Errors
    /// When no message can have them.
    pub(super) fn payload(&self, with_id: bool) -> Result<Payload, PayloadError> {
        let args = raw(self.args.as_deref().unwrap_or("[]"))?;
        if with_id {
            return Payload::from_args_kwargs(&args, &raw(&self.kwargs_with_id())?);
        }
        match self.kwargs.as_deref() {
            None if self.args.is_none() => Ok(Payload::empty()),
            None => Payload::from_args(&args),
            Some(kwargs) => Payload::from_args_kwargs(&args, &raw(kwargs)?),
        }
    }

    /// Nobody else has an argument of this name: `wampgres.publish` refuses it.
    fn kwargs_with_id(&self) -> String {
        let others = self.kwargs.as_deref().unwrap_or("{}");
        let others = others.trim_start().trim_start_matches('{').trim_start();
        let comma = if others.starts_with('}') { "" } else { "," };
        format!("{{\"{ID}\":{}{comma}{others}", self.id)
    }

    /// Who receives it. What the router refuses is in them too.
    pub(super) fn options(&self) -> PublishOptions {
        let options = self.options.as_deref().map(serde_json::from_str);
        options.and_then(Result::ok).unwrap_or_default()
    }

    /// Whether its publisher lets a session receive it; nothing is known of one without an identity.
    pub(super) fn is_for(&self, session: Option<&Identity>) -> bool {
        let Some(lists) = self.options().receivers else {
            return true;
        };
        session.is_some_and(|session| admits(&lists, session))
    }

    /// As an answer has it.
    pub(super) fn answer<'a>(&'a self, at: &'a str) -> Result<Answered<'a>, PayloadError> {
        Ok(Answered {
            id: self.id,
            at,
            topic: &self.topic,
            args: raw(self.args.as_deref().unwrap_or("[]"))?,
            kwargs: raw(self.kwargs.as_deref().unwrap_or("{}"))?,
        })
    }
}

/// An event in an answer.
#[derive(Debug, Serialize)]
pub(super) struct Answered<'a> {
    id: i64,
    at: &'a str,
    topic: &'a Uri,
    args: &'a RawValue,
    kwargs: &'a RawValue,
}

fn raw(json: &str) -> Result<&RawValue, PayloadError> {
    serde_json::from_str(json).map_err(|error| PayloadError::Shape(error.into()))
}

/// As the router's broker decides it, for sessions that subscribe.
fn admits(lists: &Receivers, session: &Identity) -> bool {
    let id = session.session;
    let (authid, authrole) = (session.authid.as_deref(), session.authrole.as_deref());
    let names =
        |list: &BTreeSet<String>, text: Option<&str>| text.is_some_and(|text| list.contains(text));
    let eligible = (lists.eligible.as_ref()).is_none_or(|list| list.contains(&id))
        && (lists.eligible_authid.as_ref()).is_none_or(|list| names(list, authid))
        && (lists.eligible_authrole.as_ref()).is_none_or(|list| names(list, authrole));
    let excluded = (lists.exclude.as_ref()).is_some_and(|list| list.contains(&id))
        || (lists.exclude_authid.as_ref()).is_some_and(|list| names(list, authid))
        || (lists.exclude_authrole.as_ref()).is_some_and(|list| names(list, authrole));
    eligible && !excluded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wamp::{ANONYMOUS, SessionId, TransportKind};

    use super::*;

    fn event(args: Option<&str>, kwargs: Option<&str>, options: Option<&str>) -> Event {
        Event {
            id: 7,
            topic: "com.a".into(),
            args: args.map(str::to_owned),
            kwargs: kwargs.map(str::to_owned),
            options: options.map(str::to_owned),
        }
    }

    #[test]
    fn the_id_is_one_of_the_keyword_arguments() {
        for (kwargs, without, with) in [
            (None, json!({}), json!({"_event": 7})),
            (Some("{}"), json!({}), json!({"_event": 7})),
            (Some(" { } "), json!({}), json!({"_event": 7})),
            (
                Some("{\"a\": {}}"),
                json!({"a": {}}),
                json!({"_event": 7, "a": {}}),
            ),
        ] {
            for args in [None, Some("[1, 2]")] {
                let event = event(args, kwargs, None);
                let wanted = args.map_or(json!([]), |_| json!([1, 2]));
                for (with_id, kwargs) in [(false, &without), (true, &with)] {
                    let payload = event.payload(with_id).unwrap();
                    assert_eq!(payload.args::<Value>().unwrap(), wanted);
                    assert_eq!(payload.kwargs::<Value>().unwrap(), *kwargs);
                }
            }
        }
        assert!(event(None, None, None).payload(false).unwrap().is_empty());
    }

    #[test]
    fn lists_say_whom_an_event_is_for() {
        let id = |id| SessionId::new(id).unwrap();
        let anybody = Identity::anonymous(id(5), ANONYMOUS.into(), TransportKind::WebSocket);
        for (options, is_for, is_for_unknown) in [
            (None, true, true),
            (Some("{\"disclose_me\": true}"), true, true),
            (Some("{\"eligible\": [5]}"), true, false),
            (Some("{\"eligible\": []}"), false, false),
            (Some("{\"exclude\": [4]}"), true, false),
            (Some("{\"exclude\": [5]}"), false, false),
            (
                Some("{\"eligible_authrole\": [\"anonymous\"]}"),
                true,
                false,
            ),
            (
                Some("{\"exclude_authrole\": [\"anonymous\"]}"),
                false,
                false,
            ),
            (Some("{\"eligible_authid\": [\"somebody\"]}"), false, false),
            (
                Some("{\"eligible\": [5], \"exclude_authrole\": [\"anonymous\"]}"),
                false,
                false,
            ),
        ] {
            let event = event(None, None, options);
            assert_eq!(event.is_for(Some(&anybody)), is_for, "{options:?}");
            assert_eq!(event.is_for(None), is_for_unknown, "{options:?}");
        }
    }
}
