//! The serializers a session can speak, and what can be wrong with a message's bytes; the
//! encodings themselves live in a file each.

use super::{Message, MessageType, PayloadError, json};

/// How the messages of a session are encoded. Chosen by the WebSocket subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Serializer {
    /// `wamp.2.json`: text messages.
    #[default]
    Json,
}

impl Serializer {
    /// All serializers, in the order a client's wish is matched against them.
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
    /// [`DecodeError`], which the specification makes a protocol violation, whatever it is.
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

/// Why bytes are not a WAMP message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not of the encoding, or an element has the wrong type.
    #[error("{}{source}", context(*.message_type))]
    Malformed {
        /// The message it would have been, where that is known.
        message_type: Option<MessageType>,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// The payload is of the wrong kind or nested too deep.
    #[error("{}{source}", context(Some(*.message_type)))]
    Payload {
        /// The message it would have been.
        message_type: MessageType,
        /// What is wrong.
        source: PayloadError,
    },
}

fn context(message_type: Option<MessageType>) -> String {
    message_type.map_or_else(String::new, |t| format!("invalid {} message: ", t.name()))
}
