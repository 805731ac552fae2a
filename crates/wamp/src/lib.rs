//! The vocabulary of WAMP: messages, ids, URIs, options, payloads, serializers. Pure; knows no
//! sockets, threads, clocks, locks or logs, and nothing of what a router does with a message.
//!
//! Everything here follows the WAMP specification and uses its nouns: the Basic Profile, and of the
//! Advanced Profile what README names. The one liberty taken is in the payload: application
//! arguments stay the raw bytes the client sent ([`Payload`]), because routing never needs to look
//! inside them.
//!
//! ```
//! use wamp::{Message, Serializer};
//!
//! let message = Serializer::Json.decode(br#"[48, 1, {}, "com.example.now.v1"]"#)?;
//! assert!(matches!(&message, Message::Call(call) if call.procedure.as_str() == "com.example.now.v1"));
//! assert_eq!(Serializer::Json.encode(&message), br#"[48,1,{},"com.example.now.v1"]"#);
//! # Ok::<(), wamp::DecodeError>(())
//! ```

// A new message or output has to be thought of wherever they are told apart.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod answer_options;
mod decode_error;
mod encoding;
mod ending;
pub mod error_uri;
mod excerpt;
mod id;
mod identity;
mod json;
mod message;
mod options;
mod options_dict;
mod pattern;
mod payload;
mod peer;
mod question;
mod request_options;
mod roles;
mod serializer;
mod sparse;
mod tokens;
mod uri;

pub use answer_options::{ErrorDetails, ResultDetails, YieldOptions};
pub use decode_error::DecodeError;
pub use ending::{Ending, Revoked, RevokedSubscription, Unregistering, Unsubscribing};
pub use excerpt::{SHOWN, excerpt};
pub use id::{
    MAX_ID, OwnIdHasher, OwnIds, PublicationId, RegistrationId, RequestId, SessionId,
    SubscriptionId,
};
pub use identity::{ANONYMOUS, AuthMethod, AuthProvider, Identity, TransportKind};
pub use message::{
    Abort, Call, Cancel, Error, Event, Goodbye, Hello, Interrupt, Invocation, Message, MessageType,
    Publish, Published, Register, Registered, RequestType, Result, Subscribe, Subscribed,
    Unregister, Unregistered, Unsubscribe, Unsubscribed, Welcome, Yield,
};
pub use options::{
    CancelMode, CancelOptions, ClosingDetails, EventDetails, HelloDetails, InterruptOptions,
    InvocationDetails, WelcomeDetails,
};
pub use options_dict::BadOption;
pub use pattern::{MatchPolicy, Pattern};
pub use payload::{MAX_NESTING, Payload, PayloadError};
pub use peer::{Outbound, Peer, Receipt, Transport, Work};
pub use question::{Denial, GuardId, Question, Ticket, Verdict};
pub use request_options::{
    CallOptions, PublishOptions, Receivers, RegisterOptions, SubscribeOptions,
};
pub use roles::{PeerRoles, RouterRoles, RpcFeatures};
pub use serializer::Serializer;
pub use sparse::{Sparse, StaticDefault};
pub use uri::{MAX_URI_LEN, Uri};
