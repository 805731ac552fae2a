//! Owns the tables of the class `sql.Procedures`. Its options are one table of the crate `component`,
//! which the comments of SQL files follow as well.

use component::sql::{CHANNEL_OPTIONS, OPTIONS, OUTBOX_OPTIONS, OptionPlace, OptionRow};

use super::{DefaultValue, Key, Kind, Section, Usage, Value, optional};

/// The `extra` of the class.
pub(in crate::config) static SQL_EXTRA: Section = Section {
    heading: "SQL component",
    keys: &EXTRA_KEYS,
};

/// What stands below a URI in its `procedures`.
pub(in crate::config) static SQL_PROCEDURE: Section = Section {
    heading: "SQL procedure",
    keys: &PROCEDURE_KEYS,
};

/// Its `topics`.
pub(in crate::config) static SQL_TOPICS: Section = Section {
    heading: "SQL topics",
    keys: &[
        optional(
            "channels",
            Kind::Special("object"),
            "none",
            "to the name of each channel of NOTIFY its topic, or an object: see \
             [Channel](#channel)",
        ),
        optional(
            "outbox",
            Kind::Special("object or boolean"),
            "`false`",
            "whether what SQL publishes by `wampgres.publish()` becomes events, and how: see \
             [Outbox](#outbox)",
        ),
    ],
};

/// What stands at a channel in its `topics.channels`.
pub(in crate::config) static SQL_CHANNEL: Section = Section {
    heading: "Channel",
    keys: &rows::<{ CHANNEL_OPTIONS.len() }>(CHANNEL_OPTIONS),
};

/// Its `topics.outbox`.
pub(in crate::config) static SQL_OUTBOX: Section = Section {
    heading: "Outbox",
    keys: &rows::<{ OUTBOX_OPTIONS.len() }>(OUTBOX_OPTIONS),
};

/// How many keys of `extra` are no options.
const OWN: usize = 10;

#[expect(clippy::too_many_lines, reason = "a table of keys")]
const fn own(index: usize) -> Key {
    match index {
        0 => optional(
            "database",
            Kind::Special("object or string"),
            "from the environment",
            "the database, or the name of one: see [Databases](#databases)",
        ),
        1 => optional(
            "directory",
            Kind::Text,
            "none",
            "where the files of SQL are, those of its directories too; relative to the config file",
        ),
        2 => optional(
            "prefix",
            Kind::Uri,
            "none",
            "what the URIs of files and functions begin with, before their names",
        ),
        3 => optional(
            "procedures",
            Kind::Special("object"),
            "none",
            "options of procedures by their URIs, see [SQL procedure](#sql-procedure); one with \
             `sql` needs no file",
        ),
        4 => optional(
            "describe",
            Kind::Special("string or `false`"),
            "`wampgres.describe` on a router of this node, else `false`",
            "the URI of the procedure that describes the others to those who may call them; all \
             components of a realm share it",
        ),
        5 => optional(
            "schemas",
            Kind::Array("strings"),
            "none",
            "schemas of which each function and procedure becomes `prefix.function`",
        ),
        6 => optional(
            "replica",
            Kind::Text,
            "none",
            "the name of one of the node's [databases](#databases), for procedures that are `read_only` \
             and name none",
        ),
        7 => optional(
            "reload_channel",
            Kind::Text,
            "`wampgres`",
            "the channel of the database on which `NOTIFY wampgres, 'reload'` is heard; `\"\"` for none",
        ),
        8 => optional(
            "topics",
            Kind::Object(&SQL_TOPICS),
            "none",
            "the topics that the database publishes to",
        ),
        _ => optional(
            "roles",
            Kind::Special("object"),
            "none",
            "to each authrole the role of the database that its callers have, or null for the one that \
             the node logs in as; `*` is for all others, who are refused without it \
             ([sql.md](sql.md#identity))",
        ),
    }
}

const fn row(row: &'static OptionRow) -> Key {
    let usage = Usage::Served(Value {
        kind: Kind::Option(&row.kind),
        default: DefaultValue::Special(row.default),
        meaning: row.meaning,
    });
    Key {
        name: row.name,
        usage,
    }
}

const fn rows<const N: usize>(options: &'static [OptionRow]) -> [Key; N] {
    let mut keys = [const { row(&OPTIONS[0]) }; N];
    let mut at = 0;
    while at < N {
        keys[at] = row(&options[at]);
        at += 1;
    }
    keys
}

/// Whether the option can hold for all procedures.
const fn is_for_all(row: &OptionRow) -> bool {
    matches!(row.place, OptionPlace::Anywhere)
}

/// Whether the option can stand in the configuration.
const fn is_for_one(row: &OptionRow) -> bool {
    !matches!(row.place, OptionPlace::Comment)
}

const fn count(for_one: bool) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < OPTIONS.len() {
        let row = &OPTIONS[at];
        count += (if for_one {
            is_for_one(row)
        } else {
            is_for_all(row)
        }) as usize;
        at += 1;
    }
    count
}

static PROCEDURE_KEYS: [Key; count(true)] = {
    let mut keys = [const { row(&OPTIONS[0]) }; count(true)];
    let (mut to, mut at) = (0, 0);
    while at < OPTIONS.len() {
        if is_for_one(&OPTIONS[at]) {
            keys[to] = row(&OPTIONS[at]);
            to += 1;
        }
        at += 1;
    }
    keys
};

static EXTRA_KEYS: [Key; OWN + count(false)] = {
    let mut keys = [const { own(0) }; OWN + count(false)];
    let (mut to, mut at) = (0, 0);
    while to < OWN {
        keys[to] = own(to);
        to += 1;
    }
    while at < OPTIONS.len() {
        if is_for_all(&OPTIONS[at]) {
            keys[to] = row(&OPTIONS[at]);
            to += 1;
        }
        at += 1;
    }
    keys
};
