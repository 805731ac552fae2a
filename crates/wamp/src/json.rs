//! The JSON encoding of messages (`wamp.2.json`): one pass in, one pass out; knows the order of
//! elements on the wire, not what they mean.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Abort, Call, Cancel, ClosingDetails, DecodeError, Error, Event, Goodbye, Hello, Interrupt,
    Invocation, Message, MessageType, Payload, PayloadError, Publish, Published, Register,
    Registered, RequestId, RequestType, Result as Res, RpcFeatures, SHOWN, Subscribe, Subscribed,
    Unregister, Unregistered, Unregistering, Unsubscribe, Unsubscribed, Welcome, WelcomeDetails,
    Yield, error_uri, excerpt,
    options::Dict,
    request_options::{ErrorDetails, ProgressOptions},
};

/// Reads one message.
pub(super) fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let seen = Seen::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let message = deserializer
        .deserialize_seq(MessageVisitor { seen: &seen })
        .and_then(|message| deserializer.end().map(|()| message));
    match message {
        Ok(message) if !seen.is_too_deep.get() => Ok(message),
        other => undecoded(other, &seen),
    }
}

/// What becomes of bytes that are not a message to act upon. Apart, so that all others are not
/// moved about for it.
#[cold]
fn undecoded(
    message: Result<Message, serde_json::Error>,
    seen: &Seen,
) -> Result<Message, DecodeError> {
    let message_type = seen.message_type.get();
    match message {
        Ok(message) => Err(DecodeError::TooDeep(Box::new(message))),
        // "ABORT": no response to it is expected, so none says what is wrong with one.
        Err(source) if message_type == Some(MessageType::Abort) => Ok(Abort {
            details: ClosingDetails {
                message: Some(excerpt(format!("invalid ABORT message: {source}"), SHOWN)),
            },
            reason: error_uri::PROTOCOL_VIOLATION.into(),
        }
        .into()),
        Err(source) => Err(DecodeError::Malformed {
            message_type,
            invocation: seen.invocation.get(),
            source,
        }),
    }
}

/// What the visitor has learned that neither a message nor serde's error type can carry.
#[derive(Default)]
struct Seen {
    message_type: Cell<Option<MessageType>>,
    invocation: Cell<Option<RequestId>>,
    is_too_deep: Cell<bool>,
}

struct MessageVisitor<'a> {
    seen: &'a Seen,
}

impl<'de> Visitor<'de> for MessageVisitor<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a WAMP message, which is a list beginning with the message type")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Message, A::Error> {
        let mut elements = Elements {
            seq,
            seen: self.seen,
        };
        let code: u64 = elements.next("MessageType|integer")?;
        let message_type = MessageType::from_code(code).ok_or_else(|| {
            A::Error::custom(format_args!("there is no message of type {code} here"))
        })?;
        self.seen.message_type.set(Some(message_type));
        let message = elements.message(message_type)?;
        if elements.seq.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom(
                "it has more elements than such a message can have",
            ));
        }
        Ok(message)
    }
}

/// The elements of the list that are still to be read.
struct Elements<'a, A> {
    seq: A,
    seen: &'a Seen,
}

impl<'de, A: SeqAccess<'de>> Elements<'_, A> {
    fn next<T: Deserialize<'de>>(&mut self, name: &str) -> Result<T, A::Error> {
        self.seq
            .next_element()?
            .ok_or_else(|| A::Error::custom(format_args!("the element {name} is missing")))
    }

    fn dict<T: Deserialize<'de>>(&mut self, name: &str) -> Result<T, A::Error> {
        self.next(name).map(|Dict(value)| value)
    }

    fn payload(&mut self) -> Result<Payload, A::Error> {
        let args: Option<&RawValue> = self.seq.next_element()?;
        let kwargs: Option<&RawValue> = if args.is_some() {
            self.seq.next_element()?
        } else {
            None
        };
        // Some clients write null where there are none, as other routers let them.
        let given = |value: &&RawValue| value.get() != "null";
        Payload::from_json(args.filter(given), kwargs.filter(given))
            .or_else(|error| self.no_payload(error))
    }

    #[cold]
    fn no_payload(&self, error: PayloadError) -> Result<Payload, A::Error> {
        match error {
            // The rest of the message says whose request it is, and is to be right too.
            PayloadError::TooDeep => {
                self.seen.is_too_deep.set(true);
                Ok(Payload::empty())
            }
            error => Err(A::Error::custom(error)),
        }
    }

    fn message(&mut self, message_type: MessageType) -> Result<Message, A::Error> {
        Ok(match message_type {
            MessageType::Hello => Hello {
                realm: self.next("Realm|uri")?,
                details: self.dict("Details|dict")?,
            }
            .into(),
            MessageType::Welcome => Welcome {
                session: self.next("Session|id")?,
                details: self.dict("Details|dict")?,
            }
            .into(),
            MessageType::Abort => {
                let details = self.dict("Details|dict")?;
                let reason = self.next("Reason|uri")?;
                // Arguments and ArgumentsKw may follow. Nothing here looks at them.
                while self.seq.next_element::<IgnoredAny>()?.is_some() {}
                Abort { details, reason }.into()
            }
            MessageType::Goodbye => Goodbye {
                details: self.dict("Details|dict")?,
                reason: self.next("Reason|uri")?,
            }
            .into(),
            MessageType::Error => {
                let request_type = self.request_type()?;
                let request = self.next("REQUEST.Request|id")?;
                let ErrorDetails {} = self.dict("Details|dict")?;
                let error = self.next("Error|uri")?;
                Error {
                    request_type,
                    request,
                    error,
                    payload: self.payload()?,
                }
                .into()
            }
            MessageType::Publish => Publish {
                request: self.next("Request|id")?,
                options: self.dict("Options|dict")?,
                topic: self.next("Topic|uri")?,
                payload: self.payload()?,
            }
            .into(),
            MessageType::Published => Published {
                request: self.next("PUBLISH.Request|id")?,
                publication: self.next("Publication|id")?,
            }
            .into(),
            MessageType::Subscribe => Subscribe {
                request: self.next("Request|id")?,
                options: self.dict("Options|dict")?,
                topic: self.next("Topic|uri")?,
            }
            .into(),
            MessageType::Subscribed => Subscribed {
                request: self.next("SUBSCRIBE.Request|id")?,
                subscription: self.next("Subscription|id")?,
            }
            .into(),
            MessageType::Unsubscribe => Unsubscribe {
                request: self.next("Request|id")?,
                subscription: self.next("SUBSCRIBED.Subscription|id")?,
            }
            .into(),
            MessageType::Unsubscribed => Unsubscribed {
                request: self.next("UNSUBSCRIBE.Request|id")?,
            }
            .into(),
            MessageType::Event => Event {
                subscription: self.next("SUBSCRIBED.Subscription|id")?,
                publication: self.next("PUBLISHED.Publication|id")?,
                details: self.dict("Details|dict")?,
                payload: self.payload()?,
            }
            .into(),
            MessageType::Call => Call {
                request: self.next("Request|id")?,
                options: self.dict("Options|dict")?,
                procedure: self.next("Procedure|uri")?,
                payload: self.payload()?,
            }
            .into(),
            MessageType::Cancel => Cancel {
                request: self.next("CALL.Request|id")?,
                options: self.dict("Options|dict")?,
            }
            .into(),
            MessageType::Result => {
                let request = self.next("CALL.Request|id")?;
                let ProgressOptions { progress } = self.dict("Details|dict")?;
                Res {
                    request,
                    progress,
                    payload: self.payload()?,
                }
                .into()
            }
            MessageType::Register => Register {
                request: self.next("Request|id")?,
                options: self.dict("Options|dict")?,
                procedure: self.next("Procedure|uri")?,
            }
            .into(),
            MessageType::Registered => Registered {
                request: self.next("REGISTER.Request|id")?,
                registration: self.next("Registration|id")?,
            }
            .into(),
            MessageType::Unregister => Unregister {
                request: self.next("Request|id")?,
                registration: self.next("REGISTERED.Registration|id")?,
            }
            .into(),
            MessageType::Unregistered => Unregistered {
                how: self.unregistering()?,
            }
            .into(),
            MessageType::Invocation => {
                let request = self.next("Request|id")?;
                self.seen.invocation.set(Some(request));
                Invocation {
                    request,
                    registration: self.next("REGISTERED.Registration|id")?,
                    details: self.dict("Details|dict")?,
                    payload: self.payload()?,
                }
                .into()
            }
            MessageType::Interrupt => Interrupt {
                request: self.next("INVOCATION.Request|id")?,
                options: self.dict("Options|dict")?,
            }
            .into(),
            MessageType::Yield => {
                let request = self.next("INVOCATION.Request|id")?;
                let ProgressOptions { progress } = self.dict("Options|dict")?;
                Yield {
                    request,
                    progress,
                    payload: self.payload()?,
                }
                .into()
            }
        })
    }

    /// "Registration Revocation": a request of 0 says that it was the router's wish.
    fn unregistering(&mut self) -> Result<Unregistering, A::Error> {
        let request: u64 = self.next("UNREGISTER.Request|id")?;
        if request == 0 {
            return self.dict("Details|dict").map(Unregistering::Revoked);
        }
        RequestId::new(request)
            .map(Unregistering::Requested)
            .ok_or_else(|| A::Error::custom(format_args!("the id {request} is out of range")))
    }

    fn request_type(&mut self) -> Result<RequestType, A::Error> {
        let code: u64 = self.next("REQUEST.Type|int")?;
        MessageType::from_code(code)
            .and_then(RequestType::from_message_type)
            .ok_or_else(|| {
                A::Error::custom(format_args!(
                    "REQUEST.Type {code} is not a request that can fail"
                ))
            })
    }
}

/// Appends one message.
pub(super) fn encode(message: &Message, out: &mut Vec<u8>) {
    let code = message.message_type().code();
    let list = List::begin(out, code);
    match message {
        Message::Hello(m) => list.element(&m.realm).element(&m.details).end(),
        Message::Welcome(m) => {
            list.element(&m.session)
                .element(&WelcomeOut::new(&m.details))
                .end();
        }
        Message::Abort(Abort { details, reason })
        | Message::Goodbye(Goodbye { details, reason }) => {
            list.element(details).element(reason).end();
        }
        Message::Error(m) => list
            .element(&m.request_type.message_type().code())
            .element(&m.request)
            .element(&ErrorDetails {})
            .element(&m.error)
            .payload(&m.payload),
        Message::Publish(m) => {
            list.element(&m.request)
                .element(&m.options)
                .element(&m.topic)
                .payload(&m.payload);
        }
        Message::Published(m) => list.element(&m.request).element(&m.publication).end(),
        Message::Subscribe(m) => {
            list.element(&m.request)
                .element(&m.options)
                .element(&m.topic)
                .end();
        }
        Message::Subscribed(m) => list.element(&m.request).element(&m.subscription).end(),
        Message::Unsubscribe(m) => list.element(&m.request).element(&m.subscription).end(),
        Message::Unsubscribed(m) => list.element(&m.request).end(),
        Message::Event(m) => list
            .element(&m.subscription)
            .element(&m.publication)
            .element(&m.details)
            .payload(&m.payload),
        Message::Call(m) => {
            list.element(&m.request)
                .element(&m.options)
                .element(&m.procedure)
                .payload(&m.payload);
        }
        Message::Cancel(m) => list.element(&m.request).element(&m.options).end(),
        Message::Result(m) => list
            .element(&m.request)
            .element(&ProgressOptions {
                progress: m.progress,
            })
            .payload(&m.payload),
        Message::Register(m) => {
            list.element(&m.request)
                .element(&m.options)
                .element(&m.procedure)
                .end();
        }
        Message::Registered(m) => list.element(&m.request).element(&m.registration).end(),
        Message::Unregister(m) => list.element(&m.request).element(&m.registration).end(),
        Message::Unregistered(m) => match &m.how {
            Unregistering::Requested(request) => list.element(request).end(),
            Unregistering::Revoked(revoked) => list.element(&0).element(revoked).end(),
        },
        Message::Invocation(m) => list
            .element(&m.request)
            .element(&m.registration)
            .element(&m.details)
            .payload(&m.payload),
        Message::Interrupt(m) => list.element(&m.request).element(&m.options).end(),
        Message::Yield(m) => list
            .element(&m.request)
            .element(&ProgressOptions {
                progress: m.progress,
            })
            .payload(&m.payload),
    }
}

/// A list being written.
struct List<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> List<'a> {
    fn begin(out: &'a mut Vec<u8>, code: u8) -> Self {
        out.push(b'[');
        write(out, &code);
        Self { out }
    }

    fn element(self, value: &impl Serialize) -> Self {
        self.out.push(b',');
        write(self.out, value);
        self
    }

    fn payload(self, payload: &Payload) {
        if !payload.is_empty() {
            self.out.push(b',');
            self.out.extend_from_slice(payload.raw());
        }
        self.end();
    }

    fn end(self) {
        self.out.push(b']');
    }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value)
        .expect("ids, URIs and option structs always serialize, and a Vec takes every byte");
}

/// WELCOME details with the roles of this router, which are the same for every session.
#[derive(Serialize)]
struct WelcomeOut<'a> {
    roles: RouterRoles,
    #[serde(flatten)]
    details: &'a WelcomeDetails,
}

#[derive(Serialize)]
struct RouterRoles {
    broker: Role<BrokerFeatures>,
    dealer: Role<RpcFeatures>,
}

#[derive(Serialize)]
struct Role<F> {
    features: F,
}

/// Source: WAMP specification, "Publisher Exclusion", "Publisher Identification" and "Subscriber
/// Black- and Whitelisting", "Feature Announcement".
#[derive(Serialize)]
struct BrokerFeatures {
    publisher_exclusion: bool,
    publisher_identification: bool,
    subscriber_blackwhite_listing: bool,
}

impl<'a> WelcomeOut<'a> {
    fn new(details: &'a WelcomeDetails) -> Self {
        let broker = Role {
            features: BrokerFeatures {
                publisher_exclusion: true,
                publisher_identification: true,
                subscriber_blackwhite_listing: true,
            },
        };
        let dealer = Role {
            features: RpcFeatures::DEALER,
        };
        Self {
            roles: RouterRoles { broker, dealer },
            details,
        }
    }
}

#[cfg(test)]
mod tests;
