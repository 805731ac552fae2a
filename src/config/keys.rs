//! Owns the form of the tables of keys. Each section of the configuration is one table with a row
//! for each key: whether it is served, and if it is, its type, range, default and meaning. The
//! reader reads values by these rows, and `docs/config.md` is printed from them. Must not know how
//! a file is read.

use std::ops::RangeInclusive;

use ::component::sql::OptionKind;

mod component;
mod database;
mod node;
mod sql;
mod times;
mod transport;

pub(super) use self::{component::*, database::*, node::*, sql::*, times::Times, transport::*};

/// One kind of object in the document, and its keys.
#[derive(Debug)]
pub(super) struct Section {
    /// Its heading in `docs/config.md`.
    pub(super) heading: &'static str,
    pub(super) keys: &'static [Key],
}

/// A row: one key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) usage: Usage,
}

/// What becomes of a key.
#[derive(Debug)]
pub(super) enum Usage {
    /// It is read and has its effect.
    Served(Value),
    /// It is accepted and has no effect. Who writes another value than `as_if`, which is what
    /// happens here anyway, is told `note`; an empty note means that nobody would expect an effect.
    Inert {
        as_if: &'static str,
        note: &'static str,
    },
    /// Crossbar.io has it and we do not yet; the text says what to do about it.
    NotYet(&'static str),
    /// It is not a key, but a likely mistake; the text says what to write instead.
    Instead(&'static str),
}

/// What may stand at a served key.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) default: DefaultValue,
    /// What it means, for `docs/config.md`.
    pub(super) meaning: &'static str,
}

/// The type and the range of a value.
#[derive(Debug)]
pub(super) enum Kind {
    /// A form of its own, described in words. The code of the section reads it.
    Special(&'static str),
    Boolean,
    /// A boolean, or 1 and 0 as libpq has it.
    Flag,
    /// An integer in a range, and its unit.
    Integer(RangeInclusive<u64>, &'static str),
    /// The same, or something else that the code of the section reads.
    IntegerOr(RangeInclusive<u64>, &'static str, &'static str),
    /// A duration in seconds or with a unit.
    Time(Times),
    /// One of some words.
    Word(&'static Choice),
    /// A string that is not empty.
    Text,
    Uri,
    /// An option of procedures in SQL, which their class reads.
    Option(&'static OptionKind),
    /// An object with a table of its own.
    Object(&'static Section),
    /// An array of what the words say.
    Array(&'static str),
}

/// What counts where nothing is written.
#[derive(Debug)]
pub(super) enum DefaultValue {
    /// The key must be written; the words complete "missing; must be ...".
    Required(&'static str),
    /// Something that is not a plain value, described in words.
    Special(&'static str),
    Boolean(bool),
    /// An integer, or the seconds of a time.
    Number(u64),
    /// A word, or a text.
    Text(&'static str),
}

/// The words that a key takes: the types of an object, or the values of another choice.
#[derive(Debug)]
pub(super) struct Choice {
    /// Its heading in `docs/config.md`. Empty for a choice that is explained where it is used.
    pub(super) heading: &'static str,
    /// The words and, where a word does not explain itself, what it means.
    pub(super) served: &'static [(&'static str, &'static str)],
    /// Crossbar.io's words that are not served yet.
    pub(super) not_yet: &'static [&'static str],
}

impl Section {
    pub(super) fn usage(&self, key: &str) -> Option<&'static Usage> {
        let mut keys = self.keys.iter();
        keys.find(|row| row.name == key).map(|row| &row.usage)
    }

    /// What may stand at `key`, if it is served.
    pub(super) fn value(&self, key: &str) -> Option<&'static Value> {
        match self.usage(key) {
            Some(Usage::Served(value)) => Some(value),
            _ => None,
        }
    }

    /// The keys to name to someone who wrote an unknown one: those that are served or, where there
    /// are none, those that are accepted.
    pub(super) fn allowed(&self) -> Vec<&'static str> {
        let with = |filter: fn(&Usage) -> bool| -> Vec<&'static str> {
            let keys = self.keys.iter().filter(|row| filter(&row.usage));
            keys.map(|row| row.name).collect()
        };
        let served = with(|usage| matches!(usage, Usage::Served(_)));
        if served.is_empty() {
            return with(|usage| matches!(usage, Usage::Inert { .. }));
        }
        served
    }
}

impl Choice {
    pub(super) fn words(&self) -> Vec<&'static str> {
        self.served.iter().map(|(word, _)| *word).collect()
    }
}

const fn served(
    name: &'static str,
    kind: Kind,
    default: DefaultValue,
    meaning: &'static str,
) -> Key {
    let usage = Usage::Served(Value {
        kind,
        default,
        meaning,
    });
    Key { name, usage }
}

/// A served key that must be written; without it, `what` is missing.
const fn required(
    name: &'static str,
    kind: Kind,
    what: &'static str,
    meaning: &'static str,
) -> Key {
    served(name, kind, DefaultValue::Required(what), meaning)
}

/// A served key whose default is told in words.
const fn optional(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    served(name, kind, DefaultValue::Special(default), meaning)
}

const fn boolean(name: &'static str, default: bool, meaning: &'static str) -> Key {
    served(name, Kind::Boolean, DefaultValue::Boolean(default), meaning)
}

/// A served integer: its range and unit, its default.
const fn integer(
    name: &'static str,
    (range, unit): (RangeInclusive<u64>, &'static str),
    default: u64,
    meaning: &'static str,
) -> Key {
    let kind = Kind::Integer(range, unit);
    served(name, kind, DefaultValue::Number(default), meaning)
}

const fn word(
    name: &'static str,
    choice: &'static Choice,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    served(
        name,
        Kind::Word(choice),
        DefaultValue::Text(default),
        meaning,
    )
}

/// The `type` that says which section an object is of.
const fn type_key(written: &'static str) -> Key {
    required("type", Kind::Special(written), "", "")
}

const fn inert(name: &'static str, as_if: &'static str, note: &'static str) -> Key {
    let usage = Usage::Inert { as_if, note };
    Key { name, usage }
}

/// A key without effect where none is expected.
const fn silent(name: &'static str) -> Key {
    inert(name, "", "")
}

/// A key that would set how a part of the node logs.
const fn logging(name: &'static str) -> Key {
    inert(
        name,
        "false",
        "logging is set for the whole node with RUST_LOG",
    )
}

const fn not_yet(name: &'static str) -> Key {
    let usage = Usage::NotYet("remove the key if that will do");
    Key { name, usage }
}

/// A key of authentication, which is not served yet.
const fn authentication(name: &'static str) -> Key {
    let usage =
        Usage::NotYet("without it every client is `anonymous`; remove the key if that will do");
    Key { name, usage }
}

const fn instead(name: &'static str, mend: &'static str) -> Key {
    let usage = Usage::Instead(mend);
    Key { name, usage }
}

/// Whether the word is a key of the format, wherever.
pub(super) fn is_known(word: &str) -> bool {
    (SECTIONS.iter()).any(|section| section.usage(word).is_some())
}

/// Every table of keys.
pub(super) static SECTIONS: &[&Section] = &[
    &NODE,
    &LIMITS,
    &ROUTER,
    &CONTAINER,
    &WORKER_OPTIONS,
    &REALM,
    &ROLE,
    &PERMISSION,
    &ALLOW,
    &DISCLOSE,
    &WEB_TRANSPORT,
    &WEB_OPTIONS,
    &WEBSOCKET_TRANSPORT,
    &LISTENING_ENDPOINT,
    &STATIC,
    &STATIC_OPTIONS,
    &WEBSOCKET_SERVICE,
    &WEBSOCKET_OPTIONS,
    &ROUTER_COMPONENT,
    &CONTAINER_COMPONENT,
    &CLIENT_TRANSPORT,
    &CLIENT_ENDPOINT,
    &PROCEDURE,
    &SQL_EXTRA,
    &SQL_PROCEDURE,
    &SQL_TOPICS,
    &SQL_CHANNEL,
    &SQL_OUTBOX,
    &DATABASE,
];

/// Every choice that has a heading in `docs/config.md`.
pub(super) static CHOICES: &[&Choice] = &[
    &WORKER_TYPES,
    &MATCH_POLICIES,
    &TRANSPORT_TYPES,
    &ENDPOINT_TYPES,
    &PATH_TYPES,
    &SERIALIZERS,
    &COMPONENT_TYPES,
    &CLIENT_TRANSPORT_TYPES,
    &BACKENDS,
    &SSL_MODES,
    &SESSION_ATTRIBUTES,
];
