//! The serializers a session can speak, by name; must not know how they read and write.
//!
//! # Another serializer
//!
//! It is a file beside `json.rs` with a [`Reader`](super::tokens::Reader), a
//! [`Writer`](super::tokens::Writer), and its own way to write and read one value of a payload; then
//! a variant of [`Serializer`], for which the compiler asks in `encoding.rs`. Payloads pass
//! unchanged between sessions of the same serializer, and are transcoded between others by whoever
//! writes them ([`Writer::payload`](super::tokens::Writer::payload)): so each writer must know every
//! other serializer's way to read, and nothing but writers has to.

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
}
