//! What an authorizer is: a procedure that says what a role may do. Knows its arguments and its
//! answers; must not know who waits for them.
//!
//! The arguments and the answer are Crossbar.io's "Dynamic Authorization": `(details, uri, action,
//! options)`, and a boolean or an object with `allow`, `disclose` and `cache`. What a `cache` means is
//! not: see [`Scope`].

use serde_json::{Map, Value, json};

use super::authorization::Action;
use wamp::{AuthMethod, AuthProvider, Identity, MatchPolicy, Message, Payload, TransportKind, Uri};

/// What an authorizer has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) allow: bool,
    /// Whether callees or subscribers are told about the session.
    pub(super) disclose: bool,
    /// For whom the answer may be kept.
    pub(super) scope: Option<Scope>,
}

/// For whom an answer holds. Crossbar.io keeps what may be kept for all sessions of the role, so
/// that what one user may do, every other may. Here that has to be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// For the session that it was about.
    Session,
    /// For every session of its role.
    Role,
}

/// What a session wants to do: the action, the URI, and the options of the request.
pub(super) fn wish(message: &Message) -> Option<(Action, &Uri)> {
    Some(match message {
        Message::Call(m) => (Action::Call, &m.procedure),
        Message::Register(m) => (Action::Register, &m.procedure),
        Message::Publish(m) => (Action::Publish, &m.topic),
        Message::Subscribe(m) => (Action::Subscribe, &m.topic),
        Message::Hello(_)
        | Message::Welcome(_)
        | Message::Abort(_)
        | Message::Goodbye(_)
        | Message::Error(_)
        | Message::Published(_)
        | Message::Subscribed(_)
        | Message::Unsubscribe(_)
        | Message::Unsubscribed(_)
        | Message::Event(_)
        | Message::Cancel(_)
        | Message::Result(_)
        | Message::Registered(_)
        | Message::Unregister(_)
        | Message::Unregistered(_)
        | Message::Invocation(_)
        | Message::Interrupt(_)
        | Message::Yield(_) => return None,
    })
}

/// The options that a request was made with. `match` is always there where there can be one.
pub(super) fn options(message: &Message) -> Value {
    let options = if let Message::Call(m) = message {
        serde_json::to_value(&m.options)
    } else if let Message::Publish(m) = message {
        serde_json::to_value(&m.options)
    } else if let Message::Register(m) = message {
        serde_json::to_value(&m.options)
    } else if let Message::Subscribe(m) = message {
        serde_json::to_value(&m.options)
    } else {
        Ok(json!({}))
    };
    let mut options = options.expect("options always have a JSON form");
    if let (Message::Register(_) | Message::Subscribe(_), Some(options)) =
        (message, options.as_object_mut())
    {
        (options.entry("match")).or_insert_with(|| json!(MatchPolicy::Exact.name()));
    }
    options
}

/// The arguments of an authorizer.
pub(super) fn arguments(
    realm: &Uri,
    identity: &Identity,
    action: Action,
    uri: &Uri,
    options: &Value,
) -> Payload {
    let details = json!({
        "realm": realm.as_str(),
        "session": identity.session,
        "authid": identity.authid,
        "authrole": identity.authrole.as_deref(),
        "authmethod": identity.authmethod.map(AuthMethod::name),
        "authprovider": identity.authprovider.map(AuthProvider::name),
        "authextra": identity.authextra,
        "transport": {"type": identity.transport.map(TransportKind::name)},
    });
    let arguments = json!([details, uri.as_str(), action.name(), options]);
    Payload::from_args(&arguments).expect("JSON always encodes, and is not nested deeply")
}

/// Reads the answer of an authorizer.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(payload: &Payload) -> Result<Answer, String> {
    let arguments: Vec<Value> = payload.args().map_err(|error| error.to_string())?;
    match arguments.first() {
        Some(Value::Bool(allow)) => Ok(Answer {
            allow: *allow,
            disclose: false,
            scope: None,
        }),
        Some(Value::Object(answer)) => read_object(answer),
        _ => Err("it is neither a boolean nor an object".to_owned()),
    }
}

fn read_object(answer: &Map<String, Value>) -> Result<Answer, String> {
    let boolean = |key: &str| match answer.get(key) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(format!("its '{key}' is not a boolean")),
    };
    for key in answer.keys() {
        if !["allow", "disclose", "cache"].contains(&key.as_str()) {
            return Err(format!(
                "it has the key '{key}': there are allow, disclose and cache"
            ));
        }
    }
    let scope = match answer.get("cache") {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Scope::Session),
        Some(Value::String(scope)) if scope == "session" => Some(Scope::Session),
        Some(Value::String(scope)) if scope == "role" => Some(Scope::Role),
        Some(_) => return Err("its 'cache' is not a boolean, \"session\" or \"role\"".to_owned()),
    };
    Ok(Answer {
        allow: boolean("allow")?.ok_or("it has no 'allow'")?,
        disclose: boolean("disclose")?.unwrap_or_default(),
        scope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &Value) -> Result<Answer, String> {
        super::read(&Payload::from_args(&[answer]).unwrap())
    }

    #[test]
    fn answers_are_read_as_crossbar_s_and_with_their_scope() {
        for (answer, (allow, disclose, scope)) in [
            (json!(true), (true, false, None)),
            (json!(false), (false, false, None)),
            (json!({"allow": true}), (true, false, None)),
            (
                json!({"allow": true, "disclose": true, "cache": true}),
                (true, true, Some(Scope::Session)),
            ),
            (
                json!({"allow": false, "cache": false}),
                (false, false, None),
            ),
            (
                json!({"allow": false, "cache": "session"}),
                (false, false, Some(Scope::Session)),
            ),
            (
                json!({"allow": true, "cache": "role"}),
                (true, false, Some(Scope::Role)),
            ),
        ] {
            let expected = Answer {
                allow,
                disclose,
                scope,
            };
            assert_eq!(read(&answer), Ok(expected), "{answer}");
        }
    }

    #[test]
    fn what_is_no_answer_says_why() {
        for (answer, why) in [
            (json!(1), "neither a boolean nor an object"),
            (json!(null), "neither a boolean nor an object"),
            (json!({}), "has no 'allow'"),
            (json!({"allow": 1}), "'allow' is not a boolean"),
            (
                json!({"allow": true, "disclose": "me"}),
                "'disclose' is not",
            ),
            (json!({"allow": true, "cache": "all"}), "'cache' is not"),
            (json!({"allow": true, "ttl": 1}), "the key 'ttl'"),
        ] {
            let error = read(&answer).unwrap_err();
            assert!(error.contains(why), "{answer}: {error}");
        }
        assert!(super::read(&Payload::empty()).is_err());
    }
}
