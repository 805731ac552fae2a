//! Owns how types that users have made are looked up: all that are lacking, and what they are made
//! of, by one statement. Must not know who lacks them.

use std::collections::HashMap;

use sql::{
    Error, Rows,
    types::{Field, Kind, Type},
};

/// Types are nested no deeper than this. PostgreSQL has no such limit, but a type that contains
/// itself would have no end.
const DEEPEST: u32 = 32;

/// The number of the version that multiranges came with.
const MULTIRANGES: u32 = 14;

/// The statement that looks types up: those that `$1` names, and all that they are made of.
/// Enums have their labels in their order; composites the names and types of their attributes.
pub(super) fn lookup(server_version: Option<&str>) -> &'static str {
    let digits = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    match server_version.and_then(digits) {
        Some(0..MULTIRANGES) => LOOKUP_WITHOUT_MULTIRANGES,
        _ => LOOKUP,
    }
}

macro_rules! lookup {
    ($of_range:literal) => {
        concat!(
            "WITH RECURSIVE wanted(oid) AS (
                SELECT pg_catalog.unnest($1)
              UNION
                SELECT part.oid
                FROM wanted
                JOIN pg_catalog.pg_type t ON t.oid = wanted.oid
                LEFT JOIN pg_catalog.pg_range r ON ",
            $of_range,
            " CROSS JOIN LATERAL (
                    SELECT pg_catalog.unnest(ARRAY[t.typelem, t.typbasetype, r.rngsubtype])
                  UNION ALL
                    SELECT a.atttypid FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = t.typrelid AND t.typrelid <> 0
                      AND a.attnum > 0 AND NOT a.attisdropped
                ) part(oid)
                WHERE part.oid <> 0
            )
            SELECT t.oid, t.typname::text, t.typtype::text, n.nspname::text, t.typelem, t.typbasetype,
                   t.typrelid, r.rngsubtype,
                   ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
                         WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
                   ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = t.typrelid AND t.typrelid <> 0
                           AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
                   ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = t.typrelid AND t.typrelid <> 0
                           AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
            FROM wanted
            JOIN pg_catalog.pg_type t ON t.oid = wanted.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN pg_catalog.pg_range r ON ",
            $of_range
        )
    };
}

const LOOKUP: &str = lookup!("t.oid IN (r.rngtypid, r.rngmultitypid)");
const LOOKUP_WITHOUT_MULTIRANGES: &str = lookup!("t.oid = r.rngtypid");

/// The columns of these statements, in their order.
pub(super) const COLUMNS: [Type; 11] = [
    Type::OID,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::OID,
    Type::OID,
    Type::OID,
    Type::OID,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::OID_ARRAY,
];

/// A type as its row has it.
struct Found {
    name: String,
    /// `typtype`: e is an enum, p a pseudo-type, m a multirange.
    letter: String,
    schema: String,
    element: u32,
    base: u32,
    relation: u32,
    of_range: Option<u32>,
    labels: Vec<String>,
    attributes: Vec<(String, u32)>,
}

/// The types that a lookup has found. What cannot be read is left out.
pub(super) fn found(rows: &Rows) -> Vec<(u32, Type)> {
    let found: HashMap<u32, Found> = rows.iter().filter_map(|row| read(row).ok()).collect();
    let whole = found
        .keys()
        .filter_map(|oid| Some((*oid, build(*oid, &found, DEEPEST)?)));
    whole.collect()
}

fn read(row: sql::Row<'_>) -> Result<(u32, Found), Error> {
    let names: Vec<String> = row.get(9)?;
    let types: Vec<u32> = row.get(10)?;
    let found = Found {
        name: row.get(1)?,
        letter: row.get(2)?,
        schema: row.get(3)?,
        element: row.get(4)?,
        base: row.get(5)?,
        relation: row.get(6)?,
        of_range: row.get(7)?,
        labels: row.get(8)?,
        attributes: names.into_iter().zip(types).collect(),
    };
    Ok((row.get(0)?, found))
}

/// A type out of the parts that were found. The order of the questions is that of the `postgres`
/// crate, so that both backends call a type the same.
fn build(oid: u32, found: &HashMap<u32, Found>, deepest: u32) -> Option<Type> {
    if let Some(known) = Type::from_oid(oid) {
        return Some(known);
    }
    let part = |oid: u32| build(oid, found, deepest.checked_sub(1)?);
    let this = found.get(&oid)?;
    let kind = match (&*this.letter, this.of_range) {
        ("e", _) => Kind::Enum(this.labels.clone()),
        ("p", _) => Kind::Pseudo,
        _ if this.base != 0 => Kind::Domain(part(this.base)?),
        _ if this.element != 0 => Kind::Array(part(this.element)?),
        _ if this.relation != 0 => {
            let fields = this.attributes.iter();
            let fields = fields.map(|(name, oid)| Some(Field::new(name.clone(), part(*oid)?)));
            Kind::Composite(fields.collect::<Option<_>>()?)
        }
        ("m", Some(of)) => Kind::Multirange(part(of)?),
        (_, Some(of)) => Kind::Range(part(of)?),
        _ => Kind::Simple,
    };
    Some(Type::new(this.name.clone(), oid, kind, this.schema.clone()))
}

/// What stands for a type that is not there any more.
pub(super) fn lost(oid: u32) -> Type {
    Type::new(oid.to_string(), oid, Kind::Simple, String::new())
}
