//! How the router says no: the ERROR of a request it does not fulfil, the ABORT of a session it
//! does not keep. Knows the words, not the rules.

use std::collections::BTreeMap;

use wamp::{
    Abort, BadOption, ClosingDetails, Denial, Error, ErrorDetails, Hello, MAX_URI_LEN, Payload,
    RequestId, RequestType, SHOWN, Uri, error_uri, excerpt,
};

/// Why a request is not fulfilled: what its ERROR will say.
#[derive(Debug)]
pub(super) struct Refusal {
    error: &'static str,
    message: String,
    is_retryable: bool,
}

impl Refusal {
    pub(super) fn new(error: &'static str, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            is_retryable: false,
        }
    }

    /// The same request may succeed when it is made again, with nothing else changed.
    pub(super) fn retryable(self) -> Self {
        Self {
            is_retryable: true,
            ..self
        }
    }

    /// As much is held as may be.
    pub(super) fn limit(limit: &'static str, value: usize, way_out: &'static str) -> Self {
        Self::new(
            error_uri::UNAVAILABLE,
            format!("the limit {limit} of {value} is reached: {way_out}, or have the limit raised"),
        )
    }

    /// What callers have in common is used up, until some of their calls are answered.
    pub(super) fn common(name: &'static str, value: usize, mend: &'static str) -> Self {
        Self::new(
            error_uri::UNAVAILABLE,
            format!(
                "the limit {name} of {value} is reached: call again when the callee has answered \
                 some, or {mend}"
            ),
        )
        .retryable()
    }

    /// There is room, but not for this caller, who has as much of it as is free for all others.
    pub(super) fn share(
        (name, value, mend): (&'static str, usize, &'static str),
        used: usize,
        own: usize,
    ) -> Self {
        let free = value.saturating_sub(used);
        Self::new(
            error_uri::UNAVAILABLE,
            format!(
                "this session has its share of the limit {name} of {value}: it has {own}, and \
                 {free} are free for all others: wait for answers before calling on, or {mend}"
            ),
        )
        .retryable()
    }

    /// What it says.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The ERROR for the request. Its one argument is a message for people; a keyword argument
    /// says whether it is retryable, as components say it.
    pub(super) fn into_error(self, request_type: RequestType, request: RequestId) -> Error {
        let args = [excerpt(self.message, SHOWN)];
        let payload = if self.is_retryable {
            Payload::from_args_kwargs(&args, &BTreeMap::from([("retryable", true)]))
        } else {
            Payload::from_args(&args)
        };
        Error {
            request_type,
            request,
            details: ErrorDetails::default(),
            error: Uri::from(self.error),
            payload: payload.expect("a string and a boolean always encode"),
        }
    }
}

/// The ERROR that whoever was asked has given for a request.
pub(super) fn denied(denial: Denial, request_type: RequestType, request: RequestId) -> Error {
    // As for the ERROR of a callee: its receiver must have one that its client library reads.
    let error = if denial.error.is_loose() && !denial.error.is_too_long() {
        denial.error
    } else {
        Uri::from(error_uri::RUNTIME_ERROR)
    };
    Error {
        request_type,
        request,
        details: ErrorDetails::default(),
        error,
        payload: denial.payload,
    }
}

/// The ERROR with which a callee that does not read answers an invocation, in its place.
pub fn refuse_invocation(request: RequestId) -> Error {
    let why = "the callee does not read what it is sent, and more bytes than outbox_limit of its \
               transport wait for it: call again later, or raise that limit";
    (Refusal::new(error_uri::UNAVAILABLE, why).retryable())
        .into_error(RequestType::Invocation, request)
}

/// Why a message is not acted upon.
#[derive(Debug)]
pub(super) enum Offence {
    /// The request is answered by an ERROR; the session goes on.
    Refused(Refusal),
    /// The session ends.
    Violation(Violation),
}

/// How a peer breaks the protocol: what its ABORT will say.
#[derive(Debug)]
pub(super) struct Violation(pub(super) String);

impl From<Violation> for Offence {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Refusal> for Offence {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Checks the length of a procedure or topic, and the loose rule.
///
/// Source: WAMP specification, "Identifiers", "Relaxed/Loose URIs" and "Incorrect URIs".
pub(super) fn check_uri(uri: &Uri) -> Result<(), Refusal> {
    if uri.is_too_long() {
        let (uri, len) = (uri.as_str(), uri.as_str().len());
        let begin = &uri[..uri.floor_char_boundary(100)];
        return Err(Refusal::new(
            error_uri::INVALID_URI,
            format!(
                "the URI that begins with {begin:?} has {len} bytes, and {MAX_URI_LEN} are the \
                 most: put what varies into the arguments"
            ),
        ));
    }
    if uri.is_loose() {
        return Ok(());
    }
    Err(Refusal::new(
        error_uri::INVALID_URI,
        format!(
            "{uri:?} is not a valid URI: write components separated by '.', none of them empty \
             or with white space or '#'"
        ),
    ))
}

/// Checks a procedure or topic that an application is about to make its own.
///
/// Source: WAMP specification, "Identifiers", "Reserved URIs".
pub(super) fn check_application_uri(uri: &Uri) -> Result<(), Refusal> {
    check_uri(uri)?;
    if !uri.is_reserved() {
        return Ok(());
    }
    Err(Refusal::new(
        error_uri::INVALID_URI,
        format!("'{uri}' is reserved for WAMP itself: choose one that does not begin with 'wamp.'"),
    ))
}

/// Checks what has been found in the options of a request: nothing is asked for that is not served,
/// and every value is of its type.
pub(super) fn check_options(bad: Option<&BadOption>) -> Result<(), Refusal> {
    let Some(BadOption { option, invalid }) = bad else {
        return Ok(());
    };
    Err(match invalid {
        Some(why) => Refusal::new(
            error_uri::INVALID_ARGUMENT,
            format!("the option {option} is not valid: {why}"),
        ),
        None => Refusal::new(
            error_uri::OPTION_NOT_ALLOWED,
            format!("the option {option} is not served: leave it out"),
        ),
    })
}

/// Checks an option of which the Basic Profile has one value alone.
pub(super) fn check_option(
    option: &str,
    served: &str,
    asked: Option<&String>,
) -> Result<(), Refusal> {
    match asked {
        Some(asked) if asked != served => Err(Refusal::new(
            error_uri::OPTION_NOT_ALLOWED,
            format!(
                "the option {option} {asked:?} is not served: leave it out or ask for {served:?}"
            ),
        )),
        _ => Ok(()),
    }
}

pub(super) fn abort(reason: &str, message: impl Into<String>) -> Abort {
    Abort {
        details: ClosingDetails {
            message: Some(excerpt(message, SHOWN)),
        },
        reason: Uri::from(reason),
    }
}

/// The ABORT for a HELLO to a realm that there is no router for.
///
/// Source: WAMP specification, "Basic Profile URIs".
pub fn refuse_realm(hello: &Hello) -> Abort {
    let realm = &hello.realm;
    if realm.is_loose() {
        abort(
            error_uri::NO_SUCH_REALM,
            format!("there is no realm '{realm}' here: join one that the node's config names"),
        )
    } else {
        abort(
            error_uri::INVALID_URI,
            format!("{realm:?} is not a valid realm URI"),
        )
    }
}

/// The ABORT for a peer that breaks the protocol before there is a session: its first message
/// is not HELLO, or no message at all.
///
/// Source: WAMP specification, "Protocol errors".
pub fn protocol_violation(message: impl Into<String>) -> Abort {
    abort(error_uri::PROTOCOL_VIOLATION, message)
}
