//! How a dictionary of options is read: key by key, each served, or noted where it asks for what is
//! not. Must not know which options which message has.

use std::{borrow::Cow, collections::BTreeSet, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

/// An option for which a request is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadOption {
    /// Its name.
    pub option: &'static str,
    /// What is wrong with its value; none where the option is not served at all.
    pub invalid: Option<String>,
}

/// What reading one option gives: perhaps something to refuse the request for.
pub(super) type Read<E> = Result<Option<BadOption>, E>;

/// A dictionary of options, read key by key.
pub(super) trait OptionsDict: Default {
    /// Reads the value of this key.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error>;

    /// Notes the first option that the request is refused for.
    fn refuse(&mut self, bad: BadOption) {
        let _ = bad;
    }
}

/// Reads an option that is served. A value of another type is no reason to end the session: the
/// request is refused.
pub(super) fn served<'de, A: MapAccess<'de>, T: DeserializeOwned>(
    map: &mut A,
    option: &'static str,
    into: &mut T,
) -> Read<A::Error> {
    let value: Value = map.next_value()?;
    Ok(match T::deserialize(value) {
        Ok(value) => {
            *into = value;
            None
        }
        Err(why) => Some(BadOption {
            option,
            invalid: Some(why.to_string()),
        }),
    })
}

/// Reads a list that is served: null is none, and so it is refused.
pub(super) fn list<'de, A: MapAccess<'de>, T: DeserializeOwned + Ord>(
    map: &mut A,
    option: &'static str,
    into: &mut Option<BTreeSet<T>>,
) -> Read<A::Error> {
    served(map, option, into.insert(BTreeSet::new()))
}

/// Reads an option that is not served: written out and switched off it is not asked for.
pub(super) fn not_served<'de, A: MapAccess<'de>>(
    map: &mut A,
    option: &'static str,
) -> Read<A::Error> {
    let bad = BadOption {
        option,
        invalid: None,
    };
    Ok(is_asked_for(&map.next_value()?).then_some(bad))
}

/// Reads an option that several requests can have.
pub(super) fn common<'de, A: MapAccess<'de>>(map: &mut A, key: &str) -> Read<A::Error> {
    match key {
        // Crossbar.io's router-to-router links end their loops by it, so it must not get lost.
        "forward_for" => not_served(map, "forward_for"),
        // What came before "Payload Passthru Mode".
        "enc_algo" => not_served(map, "enc_algo"),
        _ => passthru(map, key),
    }
}

/// Reads an option of the Payload Passthru Mode, which breaks the protocol towards a router that
/// has not announced the mode, or ignores an unknown one.
pub(super) fn passthru<'de, A: MapAccess<'de>>(map: &mut A, key: &str) -> Read<A::Error> {
    if !matches!(
        key,
        "ppt_scheme" | "ppt_serializer" | "ppt_cipher" | "ppt_keyid"
    ) {
        map.next_value::<IgnoredAny>()?;
        return Ok(None);
    }
    if is_asked_for(&map.next_value()?) {
        return Err(A::Error::custom(format_args!(
            "the option {key} is not served: this router has not announced payload_passthru_mode"
        )));
    }
    Ok(None)
}

fn is_asked_for(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Number(_) | Value::Object(_) => true,
    }
}

/// Reads a dictionary key by key.
pub(super) struct DictVisitor<T>(pub(super) PhantomData<T>);

impl<'de, T: OptionsDict> Visitor<'de> for DictVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dictionary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut options = T::default();
        while let Some(Key(key)) = map.next_key()? {
            if let Some(bad) = options.read(&key, &mut map)? {
                options.refuse(bad);
            }
        }
        Ok(options)
    }
}

/// Lets options be read from a dictionary.
macro_rules! read_as_dict {
    ($($name:ident)*) => {
        $(impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map($crate::options_dict::DictVisitor(std::marker::PhantomData))
            }
        })*
    };
}

pub(super) use read_as_dict;
