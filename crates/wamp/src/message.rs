//! The messages of the Basic Profile, and those of the Advanced Profile that are served, in one
//! table: what it says of a message makes its type, and reads and writes it. Knows their elements
//! and codes, not their encoding.
//!
//! Source: WAMP specification, "Messages". Each struct has the elements of its message in the
//! specification's order and by its names; that of a payload is the name of its first element.

use serde::de::Error as _;

use super::{
    CallOptions, CancelOptions, ClosingDetails, ErrorDetails, EventDetails, HelloDetails,
    InterruptOptions, InvocationDetails, Payload, PublicationId, PublishOptions, RegisterOptions,
    RegistrationId, RequestId, ResultDetails, SessionId, Sparse, SubscribeOptions, SubscriptionId,
    Unregistering, Unsubscribing, Uri, WelcomeDetails, YieldOptions,
    tokens::{Element, Reader, Writer, end, required},
};

/// About how many bytes the elements before a payload take.
const MARGIN: usize = 128;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $upper:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty = $element:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Debug)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl From<$name> for Message {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }

            impl $name {
                /// Writes the message.
                pub(super) fn write(&self, writer: &mut impl Writer) {
                    writer.begin($code, 1 $(+ self.$field.elements())*);
                    $(self.$field.write(writer);)*
                    writer.end();
                }

                /// About how many bytes the message takes encoded: its payload and a margin for
                /// the rest. What queues of messages are measured by.
                pub fn approximate_len(&self) -> usize {
                    MARGIN $(+ self.$field.payload_len())*
                }
            }
        )*

        /// Any message.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Message {
            $($(#[$doc])* $name($name),)*
        }

        /// The type of a message: its code on the wire and its name in the specification.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum MessageType {
            $($(#[$doc])* $name = $code,)*
        }

        impl MessageType {
            /// The type with this code, if there is one.
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The code on the wire.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The name as the specification writes it, in capitals.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $upper,)*
                }
            }
        }

        impl Message {
            /// The type of this message.
            pub const fn message_type(&self) -> MessageType {
                match self {
                    $(Self::$name(_) => MessageType::$name,)*
                }
            }

            /// Reads a message, its code first.
            pub(super) fn read<'de, R: Reader<'de>>(reader: &mut R) -> std::result::Result<Self, R::Error> {
                let code: u64 = required(reader, "MessageType|integer")?;
                let message_type = MessageType::from_code(code).ok_or_else(|| {
                    R::Error::custom(format_args!("there is no message of type {code} here"))
                })?;
                let message = match message_type {
                    $(MessageType::$name => Self::$name($name {
                        $($field: Element::read(reader, $element)?,)*
                    }),)*
                };
                end(reader, message_type)?;
                Ok(message)
            }

            /// Writes the message.
            pub(super) fn write(&self, writer: &mut impl Writer) {
                match self {
                    $(Self::$name(message) => message.write(writer),)*
                }
            }

            /// About how many bytes the message takes encoded.
            pub fn approximate_len(&self) -> usize {
                match self {
                    $(Self::$name(message) => message.approximate_len(),)*
                }
            }
        }
    };
}

messages! {
    /// Client to router: open a session on a realm.
    Hello = 1, "HELLO" {
        /// The realm to join.
        realm: Uri = "Realm|uri",
        /// Roles, authentication methods, agent.
        details: Box<HelloDetails> = "Details|dict",
    }
    /// Router to client: the session is open.
    Welcome = 2, "WELCOME" {
        /// The new session.
        session: SessionId = "Session|id",
        /// Who the session is, and what the router can do.
        details: Box<WelcomeDetails> = "Details|dict",
    }
    /// Either way: the session ends here, or never begins; no answer is expected.
    Abort = 3, "ABORT" {
        /// What happened, for people.
        details: ClosingDetails = "Details|dict",
        /// Why, for programs.
        reason: Uri = "Reason|uri",
    }
    /// Either way: close the session; answered by a GOODBYE.
    Goodbye = 6, "GOODBYE" {
        /// What happened, for people.
        details: ClosingDetails = "Details|dict",
        /// Why, for programs.
        reason: Uri = "Reason|uri",
    }
    /// Either way: a request failed.
    Error = 8, "ERROR" {
        /// The type of the request that failed.
        request_type: RequestType = "REQUEST.Type|int",
        /// The request that failed.
        request: RequestId = "REQUEST.Request|id",
        /// Nothing that is kept yet.
        details: ErrorDetails = "Details|dict",
        /// Which error it is.
        error: Uri = "Error|uri",
        /// What there is to say about it.
        payload: Payload = "Arguments|list",
    }
    /// Client to router: publish an event to a topic.
    Publish = 16, "PUBLISH" {
        /// The publisher's request.
        request: RequestId = "Request|id",
        /// Whether it is answered, and who receives the event.
        options: Sparse<PublishOptions> = "Options|dict",
        /// The topic.
        topic: Uri = "Topic|uri",
        /// The event's payload.
        payload: Payload = "Arguments|list",
    }
    /// Router to client: the publication was accepted.
    Published = 17, "PUBLISHED" {
        /// The PUBLISH answered.
        request: RequestId = "PUBLISH.Request|id",
        /// The new publication.
        publication: PublicationId = "Publication|id",
    }
    /// Client to router: subscribe to a topic.
    Subscribe = 32, "SUBSCRIBE" {
        /// The subscriber's request.
        request: RequestId = "Request|id",
        /// The pattern policy, where one is asked for.
        options: SubscribeOptions = "Options|dict",
        /// The topic.
        topic: Uri = "Topic|uri",
    }
    /// Router to client: the subscription holds.
    Subscribed = 33, "SUBSCRIBED" {
        /// The SUBSCRIBE answered.
        request: RequestId = "SUBSCRIBE.Request|id",
        /// The subscription.
        subscription: SubscriptionId = "Subscription|id",
    }
    /// Client to router: end a subscription.
    Unsubscribe = 34, "UNSUBSCRIBE" {
        /// The subscriber's request.
        request: RequestId = "Request|id",
        /// The subscription to end.
        subscription: SubscriptionId = "SUBSCRIBED.Subscription|id",
    }
    /// Router to client: the subscription is ended.
    Unsubscribed = 35, "UNSUBSCRIBED" {
        /// At whose wish.
        how: Unsubscribing = "UNSUBSCRIBE.Request|id",
    }
    /// Router to client: an event on a subscription.
    Event = 36, "EVENT" {
        /// The subscription it comes on.
        subscription: SubscriptionId = "SUBSCRIBED.Subscription|id",
        /// The publication it is.
        publication: PublicationId = "PUBLISHED.Publication|id",
        /// Who published, where disclosed.
        details: EventDetails = "Details|dict",
        /// The publisher's payload.
        payload: Payload = "PUBLISH.Arguments|list",
    }
    /// Client to router: call a procedure.
    Call = 48, "CALL" {
        /// The caller's request.
        request: RequestId = "Request|id",
        /// The timeout, and what else the caller wishes.
        options: Sparse<CallOptions> = "Options|dict",
        /// The procedure.
        procedure: Uri = "Procedure|uri",
        /// Its arguments.
        payload: Payload = "Arguments|list",
    }
    /// Client to router: the caller no longer wants the result of a call.
    Cancel = 49, "CANCEL" {
        /// The CALL to cancel.
        request: RequestId = "CALL.Request|id",
        /// How.
        options: CancelOptions = "Options|dict",
    }
    /// Router to client: the result of a call, or a part of it.
    Result = 50, "RESULT" {
        /// The CALL answered.
        request: RequestId = "CALL.Request|id",
        /// Whether it is a part, and more is to come.
        details: ResultDetails = "Details|dict",
        /// What the procedure answered.
        payload: Payload = "YIELD.Arguments|list",
    }
    /// Client to router: register a procedure.
    Register = 64, "REGISTER" {
        /// The callee's request.
        request: RequestId = "Request|id",
        /// The pattern and sharing policies and the concurrency, where asked for.
        options: Box<RegisterOptions> = "Options|dict",
        /// The procedure.
        procedure: Uri = "Procedure|uri",
    }
    /// Router to client: the procedure is registered.
    Registered = 65, "REGISTERED" {
        /// The REGISTER answered.
        request: RequestId = "REGISTER.Request|id",
        /// The new registration.
        registration: RegistrationId = "Registration|id",
    }
    /// Client to router: end a registration.
    Unregister = 66, "UNREGISTER" {
        /// The callee's request.
        request: RequestId = "Request|id",
        /// The registration to end.
        registration: RegistrationId = "REGISTERED.Registration|id",
    }
    /// Router to client: the registration is ended.
    Unregistered = 67, "UNREGISTERED" {
        /// At whose wish.
        how: Unregistering = "UNREGISTER.Request|id",
    }
    /// Router to client: a call to one of the callee's procedures.
    Invocation = 68, "INVOCATION" {
        /// The router's request to this callee.
        request: RequestId = "Request|id",
        /// The registration called.
        registration: RegistrationId = "REGISTERED.Registration|id",
        /// Who calls, where disclosed; the timeout, where the callee wants it.
        details: Sparse<InvocationDetails> = "Details|dict",
        /// The caller's arguments.
        payload: Payload = "CALL.Arguments|list",
    }
    /// Router to client: the result of an invocation is no longer wanted.
    Interrupt = 69, "INTERRUPT" {
        /// The INVOCATION to end.
        request: RequestId = "INVOCATION.Request|id",
        /// How and why.
        options: InterruptOptions = "Options|dict",
    }
    /// Client to router: the result of an invocation, or a part of it.
    Yield = 70, "YIELD" {
        /// The INVOCATION answered.
        request: RequestId = "INVOCATION.Request|id",
        /// Whether it is a part, and more is to come.
        options: YieldOptions = "Options|dict",
        /// The result.
        payload: Payload = "Arguments|list",
    }
}

/// The types of request that an ERROR can answer.
///
/// Source: WAMP specification, "Messages", ERROR; "Protocol errors" makes any other type one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestType {
    /// A SUBSCRIBE failed.
    Subscribe,
    /// An UNSUBSCRIBE failed.
    Unsubscribe,
    /// A PUBLISH failed.
    Publish,
    /// A REGISTER failed.
    Register,
    /// An UNREGISTER failed.
    Unregister,
    /// An INVOCATION failed; the only one a client may send.
    Invocation,
    /// A CALL failed.
    Call,
}

impl RequestType {
    /// The message type of the request.
    pub const fn message_type(self) -> MessageType {
        match self {
            Self::Subscribe => MessageType::Subscribe,
            Self::Unsubscribe => MessageType::Unsubscribe,
            Self::Publish => MessageType::Publish,
            Self::Register => MessageType::Register,
            Self::Unregister => MessageType::Unregister,
            Self::Invocation => MessageType::Invocation,
            Self::Call => MessageType::Call,
        }
    }

    /// The request type of a message type, if that is a request which can fail.
    pub fn from_message_type(message_type: MessageType) -> Option<Self> {
        const ALL: [RequestType; 7] = [
            RequestType::Call,
            RequestType::Invocation,
            RequestType::Publish,
            RequestType::Register,
            RequestType::Subscribe,
            RequestType::Unregister,
            RequestType::Unsubscribe,
        ];
        ALL.into_iter()
            .find(|request_type| request_type.message_type() == message_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_moved_about_cheaply() {
        // It goes from hand to hand by value, and from one processor to another.
        assert!(size_of::<Message>() <= 64, "{}", size_of::<Message>());
    }
}
