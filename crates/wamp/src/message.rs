//! The messages of the Basic Profile, and those of the Advanced Profile that are served, as types;
//! knows their elements and codes, not their encoding.
//!
//! Source: WAMP specification, "Messages". Each struct has the elements of its message in the
//! specification's order.

use super::{
    CallOptions, CancelOptions, ClosingDetails, EventDetails, HelloDetails, InterruptOptions,
    InvocationDetails, Payload, PublicationId, PublishOptions, RegisterOptions, RegistrationId,
    RequestId, Revoked, SessionId, Sparse, SubscribeOptions, SubscriptionId, Uri, WelcomeDetails,
};

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $upper:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
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
        }
    };
}

messages! {
    /// Client to router: open a session on a realm.
    Hello = 1, "HELLO" {
        /// The realm to join.
        realm: Uri,
        /// Roles, authentication methods, agent.
        details: Box<HelloDetails>,
    }
    /// Router to client: the session is open.
    Welcome = 2, "WELCOME" {
        /// The new session.
        session: SessionId,
        /// Who the session is, and what the router can do.
        details: Box<WelcomeDetails>,
    }
    /// Either way: the session ends here, or never begins; no answer is expected.
    Abort = 3, "ABORT" {
        /// What happened, for people.
        details: ClosingDetails,
        /// Why, for programs.
        reason: Uri,
    }
    /// Either way: close the session; answered by a GOODBYE.
    Goodbye = 6, "GOODBYE" {
        /// What happened, for people.
        details: ClosingDetails,
        /// Why, for programs.
        reason: Uri,
    }
    /// Either way: a request failed.
    Error = 8, "ERROR" {
        /// The type of the request that failed.
        request_type: RequestType,
        /// The request that failed.
        request: RequestId,
        /// Which error it is.
        error: Uri,
        /// What there is to say about it.
        payload: Payload,
    }
    /// Client to router: publish an event to a topic.
    Publish = 16, "PUBLISH" {
        /// The publisher's request.
        request: RequestId,
        /// Whether it is answered, and who receives the event.
        options: Sparse<PublishOptions>,
        /// The topic.
        topic: Uri,
        /// The event's payload.
        payload: Payload,
    }
    /// Router to client: the publication was accepted.
    Published = 17, "PUBLISHED" {
        /// The PUBLISH answered.
        request: RequestId,
        /// The new publication.
        publication: PublicationId,
    }
    /// Client to router: subscribe to a topic.
    Subscribe = 32, "SUBSCRIBE" {
        /// The subscriber's request.
        request: RequestId,
        /// The pattern policy, where one is asked for.
        options: SubscribeOptions,
        /// The topic.
        topic: Uri,
    }
    /// Router to client: the subscription holds.
    Subscribed = 33, "SUBSCRIBED" {
        /// The SUBSCRIBE answered.
        request: RequestId,
        /// The subscription.
        subscription: SubscriptionId,
    }
    /// Client to router: end a subscription.
    Unsubscribe = 34, "UNSUBSCRIBE" {
        /// The subscriber's request.
        request: RequestId,
        /// The subscription to end.
        subscription: SubscriptionId,
    }
    /// Router to client: the subscription is ended.
    Unsubscribed = 35, "UNSUBSCRIBED" {
        /// The UNSUBSCRIBE answered.
        request: RequestId,
    }
    /// Router to client: an event on a subscription.
    Event = 36, "EVENT" {
        /// The subscription it comes on.
        subscription: SubscriptionId,
        /// The publication it is.
        publication: PublicationId,
        /// Who published, where disclosed.
        details: EventDetails,
        /// The publisher's payload.
        payload: Payload,
    }
    /// Client to router: call a procedure.
    Call = 48, "CALL" {
        /// The caller's request.
        request: RequestId,
        /// The timeout, and what else the caller wishes.
        options: Sparse<CallOptions>,
        /// The procedure.
        procedure: Uri,
        /// Its arguments.
        payload: Payload,
    }
    /// Client to router: the caller no longer wants the result of a call.
    Cancel = 49, "CANCEL" {
        /// The CALL to cancel.
        request: RequestId,
        /// How.
        options: CancelOptions,
    }
    /// Router to client: the result of a call, or a part of it.
    Result = 50, "RESULT" {
        /// The CALL answered.
        request: RequestId,
        /// Whether it is a part, and more is to come.
        progress: bool,
        /// What the procedure answered.
        payload: Payload,
    }
    /// Client to router: register a procedure.
    Register = 64, "REGISTER" {
        /// The callee's request.
        request: RequestId,
        /// The pattern and sharing policies and the concurrency, where asked for.
        options: Box<RegisterOptions>,
        /// The procedure.
        procedure: Uri,
    }
    /// Router to client: the procedure is registered.
    Registered = 65, "REGISTERED" {
        /// The REGISTER answered.
        request: RequestId,
        /// The new registration.
        registration: RegistrationId,
    }
    /// Client to router: end a registration.
    Unregister = 66, "UNREGISTER" {
        /// The callee's request.
        request: RequestId,
        /// The registration to end.
        registration: RegistrationId,
    }
    /// Router to client: the registration is ended.
    Unregistered = 67, "UNREGISTERED" {
        /// At whose wish.
        how: Unregistering,
    }
    /// Router to client: a call to one of the callee's procedures.
    Invocation = 68, "INVOCATION" {
        /// The router's request to this callee.
        request: RequestId,
        /// The registration called.
        registration: RegistrationId,
        /// Who calls, where disclosed; the timeout, where the callee wants it.
        details: Sparse<InvocationDetails>,
        /// The caller's arguments.
        payload: Payload,
    }
    /// Router to client: the result of an invocation is no longer wanted.
    Interrupt = 69, "INTERRUPT" {
        /// The INVOCATION to end.
        request: RequestId,
        /// How and why.
        options: InterruptOptions,
    }
    /// Client to router: the result of an invocation, or a part of it.
    Yield = 70, "YIELD" {
        /// The INVOCATION answered.
        request: RequestId,
        /// Whether it is a part, and more is to come.
        progress: bool,
        /// The result.
        payload: Payload,
    }
}

/// At whose wish a registration has ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Unregistering {
    /// The callee's, with this UNREGISTER.
    Requested(RequestId),
    /// The router's, which tells the callee of it.
    Revoked(Box<Revoked>),
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
    pub const fn from_message_type(message_type: MessageType) -> Option<Self> {
        match message_type {
            MessageType::Subscribe => Some(Self::Subscribe),
            MessageType::Unsubscribe => Some(Self::Unsubscribe),
            MessageType::Publish => Some(Self::Publish),
            MessageType::Register => Some(Self::Register),
            MessageType::Unregister => Some(Self::Unregister),
            MessageType::Invocation => Some(Self::Invocation),
            MessageType::Call => Some(Self::Call),
            _ => None,
        }
    }
}

impl Message {
    /// About how many bytes the message takes encoded: its payload and a margin for the rest.
    /// What queues of messages are measured by.
    pub fn approximate_len(&self) -> usize {
        const REST: usize = 128;
        REST + match self {
            Self::Error(m) => m.payload.len(),
            Self::Publish(m) => m.payload.len(),
            Self::Event(m) => m.payload.len(),
            Self::Call(m) => m.payload.len(),
            Self::Result(m) => m.payload.len(),
            Self::Invocation(m) => m.payload.len(),
            Self::Yield(m) => m.payload.len(),
            _ => 0,
        }
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
