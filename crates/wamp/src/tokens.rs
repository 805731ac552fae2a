//! How messages are read and written, whatever the serializer: element by element, with serde's
//! data model as the tokens of one element. Must not know which messages there are, nor any
//! encoding.
//!
//! A serializer is a [`Reader`] and a [`Writer`]. The table in `message.rs` reads and writes every
//! message by them, so no serializer has a list of messages or of their elements.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    CancelOptions, ClosingDetails, ErrorDetails, EventDetails, HelloDetails, InterruptOptions,
    MessageType, Payload, PublicationId, RegisterOptions, RegistrationId, RequestId, RequestType,
    ResultDetails, SessionId, Sparse, StaticDefault, SubscribeOptions, SubscriptionId, Uri,
    WelcomeDetails, YieldOptions,
};

/// What is left of a message that is being read.
pub(super) trait Reader<'de> {
    /// What it says of bytes that are not what they should be.
    type Error: serde::de::Error;

    /// The next element, if there is one.
    fn element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, Self::Error>;

    /// The payload, which is all that is left, kept as the bytes it came in.
    ///
    /// One that is nested deeper than [`super::MAX_NESTING`] is no error, for the rest of the
    /// message says whose request it is: the reader notes it and gives an empty one.
    fn payload(&mut self) -> Result<Payload, Self::Error>;
}

/// A message that is being written.
pub(super) trait Writer {
    /// Begins a message with its code. A list may have to say first how many elements it has, the
    /// code among them.
    fn begin(&mut self, code: u8, elements: usize);

    /// Writes the next element.
    fn element(&mut self, value: &impl Serialize);

    /// Writes the elements of a payload: as they are where they are in this writer's encoding,
    /// else token by token, from a serde `Deserializer` over the payload's bytes to a serde
    /// `Serializer` over this writer's.
    fn payload(&mut self, payload: &Payload);

    /// Ends the message.
    fn end(&mut self);
}

/// What is known of a message that cannot be read as a whole.
#[derive(Default)]
pub(super) struct Head {
    pub(super) message_type: Option<MessageType>,
    /// The request, of an INVOCATION.
    pub(super) invocation: Option<RequestId>,
}

impl Head {
    /// Reads as much of it as there is.
    pub(super) fn read<'de>(reader: &mut impl Reader<'de>) -> Self {
        let code = reader.element().ok().flatten();
        let message_type = code.and_then(MessageType::from_code);
        let invocation = match message_type {
            Some(MessageType::Invocation) => reader.element().ok().flatten(),
            _ => None,
        };
        Self {
            message_type,
            invocation,
        }
    }
}

/// Reads the next element, which must be there. `name` is the specification's.
#[inline]
pub(super) fn required<'de, T: Deserialize<'de>, R: Reader<'de>>(
    reader: &mut R,
    name: &str,
) -> Result<T, R::Error> {
    match reader.element()? {
        Some(value) => Ok(value),
        None => Err(missing(name)),
    }
}

#[cold]
fn missing<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!("the element {name} is missing"))
}

/// Reads the end of a message.
pub(super) fn end<'de, R: Reader<'de>>(
    reader: &mut R,
    message_type: MessageType,
) -> Result<(), R::Error> {
    while reader.element::<IgnoredAny>()?.is_some() {
        // Arguments and ArgumentsKw may follow an ABORT. Nothing here looks at them.
        if message_type != MessageType::Abort {
            let why = "it has more elements than such a message can have";
            return Err(R::Error::custom(why));
        }
    }
    Ok(())
}

/// What can stand in a message: mostly one element, and all of them of a payload.
pub(super) trait Element: Sized {
    fn read<'de, R: Reader<'de>>(reader: &mut R, name: &str) -> Result<Self, R::Error>;

    fn write(&self, writer: &mut impl Writer);

    /// How many elements it takes in the list.
    fn elements(&self) -> usize {
        1
    }

    /// How many bytes of a payload it has.
    fn payload_len(&self) -> usize {
        0
    }
}

impl Element for Payload {
    fn read<'de, R: Reader<'de>>(reader: &mut R, _: &str) -> Result<Self, R::Error> {
        reader.payload()
    }

    fn write(&self, writer: &mut impl Writer) {
        writer.payload(self);
    }

    fn elements(&self) -> usize {
        self.parts()
    }

    fn payload_len(&self) -> usize {
        self.len()
    }
}

impl Element for RequestType {
    fn read<'de, R: Reader<'de>>(reader: &mut R, name: &str) -> Result<Self, R::Error> {
        let code: u64 = required(reader, name)?;
        MessageType::from_code(code)
            .and_then(Self::from_message_type)
            .ok_or_else(|| {
                R::Error::custom(format_args!(
                    "REQUEST.Type {code} is not a request that can fail"
                ))
            })
    }

    fn write(&self, writer: &mut impl Writer) {
        writer.element(&self.message_type().code());
    }
}

/// Ids and URIs, which say for themselves what they are read from.
macro_rules! elements {
    ($($type:ty)*) => {
        $(impl Element for $type {
            #[inline]
            fn read<'de, R: Reader<'de>>(reader: &mut R, name: &str) -> Result<Self, R::Error> {
                required(reader, name)
            }

            fn write(&self, writer: &mut impl Writer) {
                writer.element(self);
            }
        })*
    };
}

elements!(Uri SessionId PublicationId RegistrationId SubscriptionId RequestId);

/// Options and Details, which are read from dictionaries only.
macro_rules! dict_elements {
    ($($type:ty)*) => {
        $(impl Element for $type {
            #[inline]
            fn read<'de, R: Reader<'de>>(reader: &mut R, name: &str) -> Result<Self, R::Error> {
                required(reader, name).map(|Dict(value)| value)
            }

            fn write(&self, writer: &mut impl Writer) {
                writer.element(self);
            }
        })*
    };
}

dict_elements!(
    Box<HelloDetails> Box<WelcomeDetails> ClosingDetails ErrorDetails SubscribeOptions EventDetails
    CancelOptions ResultDetails Box<RegisterOptions> InterruptOptions YieldOptions
);

impl<T: StaticDefault + Serialize + for<'a> Deserialize<'a>> Element for Sparse<T> {
    #[inline]
    fn read<'de, R: Reader<'de>>(reader: &mut R, name: &str) -> Result<Self, R::Error> {
        required(reader, name).map(|Dict(value)| value)
    }

    fn write(&self, writer: &mut impl Writer) {
        writer.element(self);
    }
}

/// Reads `T` from a dictionary only; a derived struct alone would take a list as well.
pub(super) struct Dict<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Dict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfEntries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfEntries<T> {
            type Value = Dict<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dictionary")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dict<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Dict)
            }
        }
        deserializer.deserialize_map(OfEntries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Serializer;

    /// Counts what it is told to write, as a serializer must that says first how much comes.
    #[derive(Default)]
    struct Counting {
        announced: usize,
        written: usize,
        has_ended: bool,
    }

    impl Writer for Counting {
        fn begin(&mut self, _: u8, elements: usize) {
            (self.announced, self.written) = (elements, 1);
        }
        fn element(&mut self, _: &impl Serialize) {
            self.written += 1;
        }
        fn payload(&mut self, payload: &Payload) {
            let (args, kwargs) = payload.raw();
            self.written += usize::from(!args.is_empty()) + usize::from(kwargs.is_some());
        }
        fn end(&mut self) {
            self.has_ended = true;
        }
    }

    #[test]
    fn a_writer_is_told_first_how_many_elements_come() {
        for (text, elements) in [
            (r#"[1,"realm1",{"roles":{"caller":{}}}]"#, 3),
            (r#"[8,48,7,{},"com.example.failed",["why"],{"n":1}]"#, 7),
            (r#"[16,1,{},"a.b"]"#, 4),
            (r#"[48,1,{},"a.b",[1]]"#, 5),
            (r#"[48,1,{},"a.b",null,{"k":1}]"#, 6),
            ("[35,1]", 2),
            (r#"[67,0,{"registration":7}]"#, 3),
        ] {
            let message = Serializer::Json.decode(text.as_bytes()).unwrap();
            let mut counting = Counting::default();
            message.write(&mut counting);
            assert_eq!((counting.announced, counting.written), (elements, elements));
            assert!(counting.has_ended, "{text}");
        }
    }
}
