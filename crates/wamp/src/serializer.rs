//! The serializers a session can speak, and what can be wrong with a message's bytes; the
//! encodings themselves live in a file each.
//!
//! # Another serializer
//!
//! It is a file beside `json.rs` with a [`Reader`](super::tokens::Reader), a
//! [`Writer`](super::tokens::Writer), and its own way to write and read one value of a payload; then
//! a variant of [`Serializer`], for which the compiler asks here. Payloads pass unchanged between
//! sessions of the same serializer, and are transcoded between others by whoever writes them
//! ([`Writer::payload`](super::tokens::Writer::payload)): so each writer must know every other
//! serializer's way to read, and nothing but writers has to.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Abort, ClosingDetails, Event, Message, MessageType, PayloadError, RequestId, SHOWN, error_uri,
    excerpt, json, tokens::Head,
};

/// How the messages of a session are encoded. Chosen by the WebSocket subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Serializer {
    /// `wamp.2.json`: text messages.
    #[default]
    Json,
}

impl Serializer {
    /// All serializers, in the order of their numbers (`serializer as usize`). Of those that a
    /// client offers, the first that is among them counts.
    pub const ALL: &[Self] = &[Self::Json];

    /// The WebSocket subprotocol that stands for this serializer.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
        }
    }

    /// The serializer of the first offered subprotocol that there is one for.
    pub fn from_subprotocols<'a>(offered: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        offered
            .into_iter()
            .find_map(|name| Self::ALL.iter().copied().find(|s| s.subprotocol() == name))
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`DecodeError`], which says what the session is to do about it.
    pub fn decode(self, bytes: &[u8]) -> Result<Message, DecodeError> {
        match self {
            Self::Json => json::decode(bytes),
        }
    }

    /// Writes one message.
    pub fn encode(self, message: &Message) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.approximate_len());
        match self {
            Self::Json => message.write(&mut json::Writer(&mut out)),
        }
        out
    }

    /// Writes one EVENT, which many sessions may share.
    pub fn encode_event(self, event: &Event) -> Vec<u8> {
        let mut out = Vec::with_capacity(event.approximate_len());
        match self {
            Self::Json => event.write(&mut json::Writer(&mut out)),
        }
        out
    }

    /// Encodes the arguments of a payload.
    pub(super) fn list(self, value: &impl Serialize) -> Result<Vec<u8>, PayloadError> {
        match self {
            Self::Json => json::list(value),
        }
    }

    /// Encodes the keyword arguments of a payload.
    pub(super) fn dict(self, value: &impl Serialize) -> Result<Vec<u8>, PayloadError> {
        match self {
            Self::Json => json::dict(value),
        }
    }

    /// Reads the arguments of a payload; none are an empty list.
    pub(super) fn read_list<T: DeserializeOwned>(
        self,
        bytes: Option<&[u8]>,
    ) -> Result<T, PayloadError> {
        match self {
            Self::Json => json::read(bytes.unwrap_or(json::EMPTY_LIST)),
        }
    }

    /// Reads the keyword arguments of a payload; none are an empty dictionary.
    pub(super) fn read_dict<T: DeserializeOwned>(
        self,
        bytes: Option<&[u8]>,
    ) -> Result<T, PayloadError> {
        match self {
            Self::Json => json::read(bytes.unwrap_or(json::EMPTY_DICT)),
        }
    }
}

/// Why bytes are not a message to act upon.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are not of the encoding, or an element is not what it should be. The specification
    /// makes it a protocol violation.
    #[error("{}{}", context(*.message_type), excerpt(.source.to_string(), SHOWN))]
    Malformed {
        /// The message it would have been, where that is known.
        message_type: Option<MessageType>,
        /// The request of the INVOCATION it would have been, where that is known.
        invocation: Option<RequestId>,
        /// What the reader says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// They are a message, given without its payload: that is nested too deep to be passed on.
    #[error("{}{}", context(Some(.0.message_type())), PayloadError::TooDeep)]
    TooDeep(Box<Message>),
}

impl DecodeError {
    /// The request of the INVOCATION that it is, or would have been, for the callee to answer.
    pub fn invocation(&self) -> Option<RequestId> {
        match self {
            Self::Malformed { invocation, .. } => *invocation,
            Self::TooDeep(message) => {
                if let Message::Invocation(invocation) = &**message {
                    Some(invocation.request)
                } else {
                    None
                }
            }
        }
    }
}

/// What becomes of bytes that cannot be read as a message.
#[cold]
pub(super) fn malformed(
    head: Head,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Result<Message, DecodeError> {
    let Head {
        message_type,
        invocation,
    } = head;
    // "ABORT": no response to it is expected, so none says what is wrong with one.
    if message_type == Some(MessageType::Abort) {
        let why = excerpt(format!("invalid ABORT message: {source}"), SHOWN);
        let details = ClosingDetails { message: Some(why) };
        let reason = error_uri::PROTOCOL_VIOLATION.into();
        return Ok(Abort { details, reason }.into());
    }
    Err(DecodeError::Malformed {
        message_type,
        invocation,
        source,
    })
}

fn context(message_type: Option<MessageType>) -> String {
    message_type.map_or_else(String::new, |t| format!("invalid {} message: ", t.name()))
}
