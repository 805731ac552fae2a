//! Owns a value of a payload, kept as it came, on its way to a parameter. Must not know types of
//! PostgreSQL.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use sql::{Value, types::Type};

use super::{bind, mismatch::Mismatch};

/// A value of a payload, kept as the JSON that it came in, so that JSON is kept to the byte and each
/// digit of a number counts. Of a payload in another encoding it is what this is in JSON.
///
/// It is to be read straight from the payload: what goes by a `serde_json::Value` loses both.
#[derive(Clone)]
pub struct Argument(Box<RawValue>);

impl Argument {
    /// Of a text in JSON.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    /// The value in JSON.
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.json() == "null"
    }

    /// The value as a parameter of this type: null as NULL. What is simple is checked here; what only
    /// PostgreSQL can read, such as a date, goes there as text for the type's input function.
    ///
    /// # Errors
    /// It is no such value. Whoever knows the parameter's name has to say it.
    pub fn bind(&self, to: &Type) -> Result<Value<'static>, Mismatch> {
        bind::bind(&self.0, to)
    }
}

/// Null.
impl Default for Argument {
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

/// Never shows the value: it may be a secret.
impl fmt::Debug for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Argument")
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Box::deserialize(deserializer).map(Self);
        }
        let mut text = String::new();
        deserializer.deserialize_any(ToJson(&mut text))?;
        RawValue::from_string(text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// What there is in a value.
pub(super) enum Shape<'a> {
    Null,
    Bool(bool),
    /// Its text.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<&'a RawValue>),
    Dict(BTreeMap<Cow<'a, str>, &'a RawValue>),
}

impl<'a> Shape<'a> {
    /// # Errors
    /// A string is no Unicode.
    pub(super) fn of(value: &'a RawValue) -> serde_json::Result<Self> {
        let text = value.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str::<Borrowed<'_>>(text)?.0),
            Some(b'[') => Self::List(serde_json::from_str(text)?),
            Some(b'{') => {
                let dict: BTreeMap<Borrowed<'_>, &RawValue> = serde_json::from_str(text)?;
                Self::Dict(
                    dict.into_iter()
                        .map(|(key, value)| (key.0, value))
                        .collect(),
                )
            }
            _ => Self::Number(text),
        })
    }
}

/// A string that is copied only if it has escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// Writes a value of any encoding as JSON: bytes as WAMP has them there, and what is no number as
/// PostgreSQL calls it.
struct ToJson<'a>(&'a mut String);

impl ToJson<'_> {
    fn push<E>(self, value: &impl serde::Serialize) -> Result<(), E>
    where
        E: serde::de::Error,
    {
        self.0
            .push_str(&serde_json::to_string(value).map_err(E::custom)?);
        Ok(())
    }
}

impl<'de> Visitor<'de> for ToJson<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.push(&value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.push(&value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.push(&value)
    }

    fn visit_f32<E: serde::de::Error>(self, value: f32) -> Result<(), E> {
        if value.is_finite() {
            self.push(&value)
        } else {
            self.push(&super::print::non_finite(value.into()))
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() {
            self.push(&value)
        } else {
            self.push(&super::print::non_finite(value))
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.push(&value)
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<(), E> {
        self.push(&super::binary::to_string(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.push(&())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.push(&())
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.push('[');
        let from = self.0.len();
        loop {
            let before = self.0.len();
            if before > from {
                self.0.push(',');
            }
            if list.next_element_seed(ToJson(self.0))?.is_none() {
                self.0.truncate(before);
                self.0.push(']');
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let from = self.0.len();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if self.0.len() > from {
                self.0.push(',');
            }
            ToJson(self.0).push::<A::Error>(&key)?;
            self.0.push(':');
            map.next_value_seed(ToJson(self.0))?;
        }
        self.0.push('}');
        Ok(())
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for ToJson<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}
