//! The JSON encoding (`wamp.2.json`): one pass in, one pass out; knows its brackets and commas, not
//! which messages there are.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    DecodeError, MAX_NESTING, Message, Payload, PayloadError, Serializer,
    decode_error::malformed,
    tokens::{self, Head},
};

/// What is read where there are no arguments.
pub(super) const EMPTY_LIST: &[u8] = b"[]";
/// What is read where there are no keyword arguments.
pub(super) const EMPTY_DICT: &[u8] = b"{}";

/// Reads one message.
pub(super) fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let is_too_deep = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let message = deserializer
        .deserialize_seq(MessageVisitor {
            is_too_deep: &is_too_deep,
        })
        .and_then(|message| deserializer.end().map(|()| message));
    match message {
        Ok(message) if !is_too_deep.get() => Ok(message),
        other => undecoded(bytes, other),
    }
}

/// What becomes of bytes that are not a message to act upon. Apart, so that all others are not
/// moved about for it.
#[cold]
fn undecoded(
    bytes: &[u8],
    message: Result<Message, serde_json::Error>,
) -> Result<Message, DecodeError> {
    match message {
        Ok(message) => Err(DecodeError::TooDeep(message.into())),
        Err(why) => malformed(head(bytes), why.into()),
    }
}

/// What is known of a message that is malformed further on.
fn head(bytes: &[u8]) -> Head {
    let mut head = Head::default();
    // It fails, for it leaves the rest of the list.
    let _ = serde_json::Deserializer::from_slice(bytes).deserialize_seq(HeadVisitor(&mut head));
    head
}

struct MessageVisitor<'a> {
    is_too_deep: &'a Cell<bool>,
}

impl<'de> Visitor<'de> for MessageVisitor<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a WAMP message, which is a list beginning with the message type")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Message, A::Error> {
        let is_too_deep = self.is_too_deep;
        Message::read(&mut Reader { seq, is_too_deep })
    }
}

struct HeadVisitor<'a>(&'a mut Head);

impl<'de> Visitor<'de> for HeadVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let is_too_deep = &Cell::new(false);
        *self.0 = Head::read(&mut Reader { seq, is_too_deep });
        Ok(())
    }
}

/// The elements of the list that are still to be read.
struct Reader<'a, A> {
    seq: A,
    /// What neither a message nor serde's error type can carry.
    is_too_deep: &'a Cell<bool>,
}

impl<'de, A: SeqAccess<'de>> tokens::Reader<'de> for Reader<'_, A> {
    type Error = A::Error;

    #[inline]
    fn element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, A::Error> {
        self.seq.next_element()
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
        payload(args.filter(given), kwargs.filter(given)).or_else(|error| self.no_payload(error))
    }
}

impl<'de, A: SeqAccess<'de>> Reader<'_, A> {
    #[cold]
    fn no_payload(&self, error: PayloadError) -> Result<Payload, A::Error> {
        if !matches!(error, PayloadError::TooDeep) {
            return Err(A::Error::custom(error));
        }
        self.is_too_deep.set(true);
        Ok(Payload::empty())
    }
}

/// Takes over raw elements. Checks their kind and how deep they are nested, which costs nothing
/// for those too short to be nested too deep.
fn payload(args: Option<&RawValue>, kwargs: Option<&RawValue>) -> Result<Payload, PayloadError> {
    let args = match (args, kwargs) {
        (Some(args), _) => args.get().as_bytes(),
        // Keyword arguments do not go without a list of the others.
        (None, Some(_)) => EMPTY_LIST,
        (None, None) => return Ok(Payload::empty()),
    };
    let kwargs = kwargs.map(|kwargs| kwargs.get().as_bytes());
    check(args, kwargs)?;
    Payload::from_raw(Serializer::Json, args, kwargs)
}

/// Where a message is written to.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    fn write(&mut self, value: &impl Serialize) {
        serde_json::to_writer(&mut *self.0, value)
            .expect("ids, URIs and option structs always serialize, and a Vec takes every byte");
    }
}

impl tokens::Writer for Writer<'_> {
    #[inline]
    fn begin(&mut self, code: u8, _: usize) {
        self.0.push(b'[');
        self.write(&code);
    }

    #[inline]
    fn element(&mut self, value: &impl Serialize) {
        self.0.push(b',');
        self.write(value);
    }

    fn payload(&mut self, payload: &Payload) {
        let (args, kwargs) = match payload.serializer() {
            Serializer::Json => payload.raw(),
        };
        if !args.is_empty() {
            self.0.push(b',');
            self.0.extend_from_slice(args);
        }
        if let Some(kwargs) = kwargs {
            self.0.push(b',');
            self.0.extend_from_slice(kwargs);
        }
    }

    #[inline]
    fn end(&mut self) {
        self.0.push(b']');
    }
}

/// Encodes the arguments of a payload.
pub(super) fn list(value: &impl Serialize) -> Result<Vec<u8>, PayloadError> {
    let json = encode(value)?;
    check(&json, None)?;
    Ok(json)
}

/// Encodes the keyword arguments of a payload.
pub(super) fn dict(value: &impl Serialize) -> Result<Vec<u8>, PayloadError> {
    let json = encode(value)?;
    check(EMPTY_LIST, Some(&json))?;
    Ok(json)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, PayloadError> {
    serde_json::to_vec(value).map_err(|why| PayloadError::Shape(why.into()))
}

/// Reads one of the two values of a payload.
pub(super) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, PayloadError> {
    serde_json::from_slice(json).map_err(|why| PayloadError::Shape(why.into()))
}

/// Whether two values are what ends a message.
fn check(args: &[u8], kwargs: Option<&[u8]>) -> Result<(), PayloadError> {
    if args.first() != Some(&b'[') {
        return Err(PayloadError::ArgumentsNotAList);
    }
    if kwargs.is_some_and(|kwargs| kwargs.first() != Some(&b'{')) {
        return Err(PayloadError::ArgumentsKwNotADict);
    }
    if is_nested_too_deep(args) || kwargs.is_some_and(is_nested_too_deep) {
        return Err(PayloadError::TooDeep);
    }
    Ok(())
}

/// Whether a valid value nests lists and dictionaries deeper than [`MAX_NESTING`]. Runs over the
/// bytes once and needs no stack.
fn is_nested_too_deep(json: &[u8]) -> bool {
    // Every level takes at least its two brackets.
    if json.len() <= 2 * MAX_NESTING {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_NESTING {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
