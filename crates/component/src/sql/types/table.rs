//! Owns the table of PostgreSQL's own types: how each travels both ways, and what is said of it in
//! `docs/types.md`. Must not know how a value is written or read.

use sql::types::Type;

use super::print::{self, Print};

/// How a value becomes one of WAMP's.
#[derive(Clone, Copy)]
pub(super) enum Out {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Bytea,
    /// Behind so many bytes.
    Json(usize),
    /// Its bytes are its text.
    Chars,
    Text(Print),
    /// As JSON has it, and as PostgreSQL prints it.
    Moment(Print, Print),
}

impl Out {
    /// How PostgreSQL prints it.
    pub(super) fn print(self) -> Print {
        match self {
            Self::Bool => print::boolean,
            Self::Int2 => print::int2,
            Self::Int4 => print::int4,
            Self::Int8 => print::int8,
            Self::Float4 => print::float4,
            Self::Float8 => print::float8,
            Self::Numeric => print::numeric,
            Self::Bytea => print::bytea,
            Self::Json(0) | Self::Chars => print::chars,
            Self::Json(_) => print::versioned,
            Self::Text(print) | Self::Moment(_, print) => print,
        }
    }
}

/// What a value is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Into {
    Bool,
    Int2,
    Int4,
    Int8,
    Unsigned4,
    Unsigned8,
    Float4,
    Float8,
    Numeric,
    Bytea,
    Json,
    /// A string that is the value.
    Chars,
    /// A string that PostgreSQL reads.
    Text,
    /// The same, or a number.
    TextOrNumber,
}

/// Types that are alike for who sees them from outside.
pub(super) struct Group {
    /// Each with its way out; without one PostgreSQL has to make it text.
    pub(super) types: &'static [(Type, Option<Out>)],
    pub(super) into: Into,
    /// What it is in JSON.
    pub(super) json: &'static str,
    /// What a parameter takes.
    pub(super) takes: &'static str,
    /// Its type in TypeScript.
    pub(super) typescript: &'static str,
}

/// The type, where it is one of PostgreSQL's own.
pub(super) fn find(r#type: &Type) -> Option<(&'static Group, Option<Out>)> {
    TABLE.iter().find_map(|group| {
        let mut types = group.types.iter();
        let (_, out) = types.find(|(known, _)| known == r#type)?;
        Some((group, *out))
    })
}

const CHARS: Option<Out> = Some(Out::Chars);
const READS: &str = "string that PostgreSQL reads";
const WHOLE: &str = "whole number in the type's range";
const PRINTED: &str = "string, as PostgreSQL prints it";
const CAST: &str = "string, as PostgreSQL prints it, which is asked to by a cast";

pub(super) static TABLE: &[Group] = &[
    Group {
        types: &[(Type::BOOL, Some(Out::Bool))],
        into: Into::Bool,
        json: "`true`, `false`",
        takes: "the same",
        typescript: "boolean",
    },
    Group {
        types: &[(Type::INT2, Some(Out::Int2))],
        into: Into::Int2,
        json: "number",
        takes: WHOLE,
        typescript: "number",
    },
    Group {
        types: &[(Type::INT4, Some(Out::Int4))],
        into: Into::Int4,
        json: "number",
        takes: WHOLE,
        typescript: "number",
    },
    Group {
        types: &[(Type::INT8, Some(Out::Int8))],
        into: Into::Int8,
        json: "number, beyond 2^53 a string; MessagePack and CBOR have it whole (option `int8`)",
        takes: "whole number in the type's range, or a string of its digits",
        typescript: "number | string",
    },
    Group {
        types: &[(Type::FLOAT4, Some(Out::Float4))],
        into: Into::Float4,
        json: "number; `\"NaN\"`, `\"Infinity\"`, `\"-Infinity\"`",
        takes: "the same",
        typescript: "number | string",
    },
    Group {
        types: &[(Type::FLOAT8, Some(Out::Float8))],
        into: Into::Float8,
        json: "number; `\"NaN\"`, `\"Infinity\"`, `\"-Infinity\"`",
        takes: "the same",
        typescript: "number | string",
    },
    Group {
        types: &[(Type::NUMERIC, Some(Out::Numeric))],
        into: Into::Numeric,
        json: "string of all its digits (option `numeric`); `\"NaN\"`, `\"Infinity\"`",
        takes: "the same, or a number, of which each digit counts in JSON",
        typescript: "number | string",
    },
    Group {
        types: &[
            (Type::OID, Some(Out::Text(print::unsigned4))),
            (Type::XID, Some(Out::Text(print::unsigned4))),
            (Type::CID, Some(Out::Text(print::unsigned4))),
        ],
        into: Into::Unsigned4,
        json: "string of its digits",
        takes: "the same, or a whole number in the type's range",
        typescript: "string",
    },
    Group {
        types: &[(Type::XID8, Some(Out::Text(print::unsigned8)))],
        into: Into::Unsigned8,
        json: "string of its digits",
        takes: "the same, or a whole number in the type's range",
        typescript: "string",
    },
    Group {
        types: &[
            (Type::TEXT, CHARS),
            (Type::VARCHAR, CHARS),
            (Type::BPCHAR, CHARS),
            (Type::NAME, CHARS),
            (Type::CHAR, Some(Out::Text(print::one_byte))),
            (Type::XML, Some(Out::Text(print::xml))),
            (Type::JSONPATH, Some(Out::Text(print::versioned))),
            (Type::REFCURSOR, CHARS),
            (Type::CSTRING, CHARS),
            (Type::UNKNOWN, CHARS),
            (Type::PG_NODE_TREE, CHARS),
        ],
        into: Into::Chars,
        json: "string",
        takes: "string",
        typescript: "string",
    },
    Group {
        types: &[(Type::BYTEA, Some(Out::Bytea))],
        into: Into::Bytea,
        json: "WAMP's binary, a string of NUL and base64; bytes in MessagePack and CBOR",
        takes: "the same, or a string of `\\x` and hexadecimal digits",
        typescript: "string",
    },
    Group {
        types: &[(Type::JSON, Some(Out::Json(0)))],
        into: Into::Json,
        json: "itself, to the byte",
        takes: "any value, in JSON to the byte; null is NULL",
        typescript: "unknown",
    },
    Group {
        types: &[(Type::JSONB, Some(Out::Json(1)))],
        into: Into::Json,
        json: "itself, as PostgreSQL prints it",
        takes: "any value; null is NULL",
        typescript: "unknown",
    },
    Group {
        types: &[(Type::DATE, Some(Out::Text(print::date)))],
        into: Into::Text,
        json: "string: `2026-11-28`, `0044-03-15 BC`, `infinity`",
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[(
            Type::TIMESTAMP,
            Some(Out::Moment(print::json_timestamp, print::timestamp)),
        )],
        into: Into::Text,
        json: "string: `2026-11-28T18:00:00.25`, `infinity`",
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[(
            Type::TIMESTAMPTZ,
            Some(Out::Moment(print::json_timestamptz, print::timestamptz)),
        )],
        into: Into::Text,
        json: "string, in UTC always: `2026-11-28T18:00:00+00:00`, `infinity`",
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[(Type::TIME, Some(Out::Text(print::time)))],
        into: Into::Text,
        json: "string: `18:00:00.25`, `24:00:00`",
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[(Type::TIMETZ, Some(Out::Text(print::timetz)))],
        into: Into::Text,
        json: "string: `18:00:00+05:30`",
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[(Type::INTERVAL, Some(Out::Text(print::interval)))],
        into: Into::Text,
        json: "string: `1 year 2 mons -3 days +04:05:06`",
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[
            (Type::UUID, Some(Out::Text(print::uuid))),
            (Type::BIT, Some(Out::Text(print::bits))),
            (Type::VARBIT, Some(Out::Text(print::bits))),
            (Type::INET, Some(Out::Text(print::inet))),
            (Type::CIDR, Some(Out::Text(print::inet))),
            (Type::MACADDR, Some(Out::Text(print::macaddr))),
            (Type::MACADDR8, Some(Out::Text(print::macaddr))),
            (Type::POINT, Some(Out::Text(print::point))),
            (Type::LINE, Some(Out::Text(print::line))),
            (Type::LSEG, Some(Out::Text(print::lseg))),
            (Type::BOX, Some(Out::Text(print::rectangle))),
            (Type::PATH, Some(Out::Text(print::path))),
            (Type::POLYGON, Some(Out::Text(print::polygon))),
            (Type::CIRCLE, Some(Out::Text(print::circle))),
            (Type::TS_VECTOR, Some(Out::Text(print::tsvector))),
            (Type::TSQUERY, Some(Out::Text(print::tsquery))),
            (Type::PG_LSN, Some(Out::Text(print::lsn))),
            (Type::PG_SNAPSHOT, Some(Out::Text(print::snapshot))),
            (Type::TXID_SNAPSHOT, Some(Out::Text(print::snapshot))),
            (Type::TID, Some(Out::Text(print::tid))),
        ],
        into: Into::Text,
        json: PRINTED,
        takes: READS,
        typescript: "string",
    },
    Group {
        types: &[(Type::VOID, Some(Out::Text(print::nothing)))],
        into: Into::Text,
        json: "empty string",
        takes: "nothing",
        typescript: "string",
    },
    // What they print depends on settings, or on the catalogue.
    Group {
        types: &[
            (Type::MONEY, None),
            (Type::REGCLASS, None),
            (Type::REGTYPE, None),
            (Type::REGPROC, None),
            (Type::REGPROCEDURE, None),
            (Type::REGOPER, None),
            (Type::REGOPERATOR, None),
            (Type::REGROLE, None),
            (Type::REGNAMESPACE, None),
            (Type::REGCOLLATION, None),
            (Type::REGCONFIG, None),
            (Type::REGDICTIONARY, None),
        ],
        into: Into::TextOrNumber,
        json: CAST,
        takes: "string that PostgreSQL reads, or a number",
        typescript: "string",
    },
    // PostgreSQL's inside, mostly without a binary form.
    Group {
        types: &[
            (Type::ACLITEM, None),
            (Type::GTS_VECTOR, None),
            (Type::PG_NDISTINCT, None),
            (Type::PG_DEPENDENCIES, None),
            (Type::PG_MCV_LIST, None),
            (Type::PG_BRIN_BLOOM_SUMMARY, None),
            (Type::PG_BRIN_MINMAX_MULTI_SUMMARY, None),
        ],
        into: Into::Text,
        json: CAST,
        takes: READS,
        typescript: "string",
    },
];
