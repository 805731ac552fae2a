//! Which file reads and writes messages and payloads in each serializer. Must not know how.

use serde::{Serialize, de::DeserializeOwned};

use super::{DecodeError, Event, Message, PayloadError, Serializer, json};

impl Serializer {
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
