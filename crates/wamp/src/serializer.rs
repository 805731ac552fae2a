//! The serializers a session can speak, and what can be wrong with a message's bytes; the
//! encodings themselves live in a file each.

use super::{Message, MessageType, PayloadError, RequestId, SHOWN, excerpt, json};

/// How the messages of a session are encoded. Chosen by the WebSocket subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Serializer {
    /// `wamp.2.json`: text messages.
    #[default]
    Json,
}

impl Serializer {
    /// All serializers. Of those that a client offers, the first that is among them counts.
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
            Self::Json => json::encode(message, &mut out),
        }
        out
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
        source: serde_json::Error,
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
            Self::TooDeep(message) => match &**message {
                Message::Invocation(invocation) => Some(invocation.request),
                _ => None,
            },
        }
    }
}

fn context(message_type: Option<MessageType>) -> String {
    message_type.map_or_else(String::new, |t| format!("invalid {} message: ", t.name()))
}
